"""The cast: the parties, the purposes, the datasets' codes, the people's lines."""

from dataclasses import dataclass
from typing import Final

from ledger.chain.events import PurposeTerms, Text
from ledger.model import Roles

DAY: Final = 24 * 3600
HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class Role:
    """One party of the story, before it has keys."""

    code: str
    name: str
    """As admitted on chain: "中文 / English"."""
    roles: Roles

    @property
    def english(self) -> str:
        return self.name.rpartition(" / ")[2]


BANK: Final = Role("bank", "泉城银行 / Quancheng Bank", Roles.CONSUMER)
INSURER: Final = Role("insurer", "泉城人寿保险 / Quancheng Life Insurance", Roles.CONSUMER)
INSTITUTE: Final = Role(
    "institute", "泉城经济研究院 / Quancheng Economic Institute", Roles.CONSUMER
)
NAVIGATOR: Final = Role("navigator", "泉城出行 / Quancheng Mobility", Roles.CONSUMER)
DISEASE_CONTROL: Final = Role(
    "disease-control", "泉城市疾控中心 / Quancheng Disease Control", Roles.CONSUMER
)
REGULATOR: Final = Role("regulator", "泉城市数据监管局 / Quancheng Data Regulator", Roles.REGULATOR)

OTHERS: Final = (BANK, INSURER, INSTITUTE, NAVIGATOR, DISEASE_CONTROL, REGULATOR)
"""All but the departments, which come from the city's manifest."""

REAL_ESTATE: Final = "real-estate"
SOCIAL_INSURANCE: Final = "social-insurance"
HOSPITAL_VISITS: Final = "hospital-visits"
STATISTICS: Final = "enterprise-statistics"
PARKING: Final = "parking-lots"
EPIDEMIC: Final = "epidemic-cases"

LOAN: Final = PurposeTerms(
    code="personal-loan",
    texts=(
        Text(
            "zh",
            "我同意{consumer}为审批个人贷款（业务编号 {case}）查询我的{dataset}中的 {fields}，{uses}，"
            "授权有效期至{until}，数据{retention}。",
        ),
        Text(
            "en",
            "I let {consumer} read {fields} of my data in {dataset}, {uses}, to decide loan case "
            "{case}, until {until}, {retention}.",
        ),
    ),
    max_validity=90 * DAY,
    max_uses=12,
    min_interval=0,
    retention=180 * DAY,
)

CLAIM: Final = PurposeTerms(
    code="medical-claim",
    texts=(
        Text(
            "zh",
            "我同意{consumer}为办理商业医疗险理赔（案号 {case}）查询我的{dataset}中的 {fields}，{uses}，"
            "{interval}，授权有效期至{until}，数据{retention}。",
        ),
        Text(
            "en",
            "I let {consumer} read {fields} of my data in {dataset}, {uses}, {interval}, to settle "
            "claim {case}, until {until}, {retention}.",
        ),
    ),
    max_validity=30 * DAY,
    max_uses=5,
    min_interval=0,
    retention=365 * DAY,
)

STUDY: Final = PurposeTerms(
    code="economic-study",
    texts=(
        Text(
            "zh",
            "{consumer}为课题 {case} 使用{dataset}中的 {fields}，{uses}，至{until}，数据{retention}。",
        ),
        Text(
            "en",
            "{consumer} uses {fields} of {dataset} for study {case}, {uses}, until {until}, "
            "{retention}.",
        ),
    ),
    max_validity=365 * DAY,
    max_uses=1_000,
    min_interval=0,
    retention=365 * DAY,
)

OUTBREAK: Final = PurposeTerms(
    code="outbreak-response",
    texts=(
        Text(
            "zh",
            "{consumer}为应急处置 {case} 使用{dataset}中的 {fields}，{uses}，至{until}，数据{retention}。",
        ),
        Text(
            "en",
            "{consumer} uses {fields} of {dataset} in emergency {case}, {uses}, until {until}, "
            "{retention}.",
        ),
    ),
    max_validity=30 * DAY,
    max_uses=1_000,
    min_interval=0,
    retention=30 * DAY,
)

PURPOSES: Final = (LOAN, CLAIM, STUDY, OUTBREAK)

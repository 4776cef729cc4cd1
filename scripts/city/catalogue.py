"""The datasets of the city's departments: the definitions that everybody else reads.

`DATASETS` is written to `datasets.json` (`scripts.city.manifest`) and imported by whoever publishes.
A file's columns are the key (unless there is none), the record number, then the fields in schema order.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scripts.city.errors import CityError


class FieldType(StrEnum):
    """Form of a field's text."""

    TEXT = "text"
    INTEGER = "integer"
    """Digits, with a minus sign when negative."""
    DECIMAL = "decimal"
    """Digits, a point and exactly two digits."""
    DATE = "date"
    """Year, month and day, as in 2026-11-01 (ISO 8601)."""


class KeyKind(StrEnum):
    """By what a file knows the subject of a record."""

    RESIDENT = "resident"
    """By resident id."""
    ENTERPRISE = "enterprise"
    """By unified social credit code."""
    NONE = "none"
    """The records are about nobody; there is no key column."""


class FileFormat(StrEnum):
    """How a department writes a file."""

    CSV = "csv"
    """RFC 4180 with a header line; lines end in a line feed, and no value contains one."""
    JSON_LINES = "jsonl"
    """An object a line: integers are numbers, decimals and dates strings, a missing value null."""
    PARQUET = "parquet"
    """string, int64, decimal128(18, 2) and date32 columns; a missing value is null."""


class Encoding(StrEnum):
    """The encoding of a text file; Parquet is always UTF-8."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


class AccessClass(StrEnum):
    """The three sharing classes and the three open classes (DESIGN.md, 1)."""

    UNCONDITIONAL = "Unconditional"
    CONDITIONAL = "Conditional"
    NOT_SHARED = "NotShared"


@dataclass(frozen=True, slots=True)
class Department:
    code: str
    title_zh: str
    title_en: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a dataset's schema.

    `name` is snake_case English. A value of an `optional` field may be missing (an empty text).
    """

    name: str
    title_zh: str
    title_en: str
    type: FieldType = FieldType.TEXT
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset and the file that holds it.

    `file` is relative to the city's directory. `key_column` is empty exactly when `key_kind` is NONE.
    Record numbers in `number_column` are unique in a file, ascending, and less than 2^63. `grade` is
    1 (general) to 4 (core).
    """

    code: str
    department: Department
    title_zh: str
    title_en: str
    file: str
    key_kind: KeyKind
    number_column: str
    fields: tuple[Field, ...]
    sharing_class: AccessClass
    open_class: AccessClass
    grade: int
    personal: bool
    update_cycle_days: int
    format: FileFormat = FileFormat.CSV
    encoding: Encoding = Encoding.UTF_8

    @property
    def key_column(self) -> str:
        """The column that tells whom a record is about."""
        return _KEY_COLUMNS[self.key_kind]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the file's columns, in order."""
        key = (self.key_column,) if self.key_column else ()
        return (*key, self.number_column, *(field.name for field in self.fields))

    def field_index(self, name: str) -> int:
        """Return the place of a field in the schema.

        Raises:
            CityError: there is no such field.
        """
        for index, field in enumerate(self.fields):
            if field.name == name:
                return index
        raise CityError(f"{self.code} has no field {name}")


_KEY_COLUMNS: Final = {
    KeyKind.RESIDENT: "resident_id",
    KeyKind.ENTERPRISE: "credit_code",
    KeyKind.NONE: "",
}

HOUSING: Final = Department("housing", "泉城市住房和城乡建设局", "Quancheng Housing Bureau")
SOCIAL_SECURITY: Final = Department(
    "social-security", "泉城市人力资源和社会保障局", "Quancheng Social Security Bureau"
)
HOUSING_FUND_CENTRE: Final = Department(
    "housing-fund", "泉城住房公积金中心", "Quancheng Housing Fund Centre"
)
HEALTH: Final = Department("health", "泉城市卫生健康委员会", "Quancheng Health Commission")
MARKET: Final = Department("market", "泉城市市场监督管理局", "Quancheng Market Regulator")

DEPARTMENTS: Final = (HOUSING, SOCIAL_SECURITY, HOUSING_FUND_CENTRE, HEALTH, MARKET)

REAL_ESTATE: Final = Dataset(
    code="real-estate",
    department=HOUSING,
    title_zh="不动产登记信息",
    title_en="Real estate registration",
    file="housing/real-estate.csv",
    key_kind=KeyKind.RESIDENT,
    number_column="registration_number",
    fields=(
        Field("unit_number", "不动产单元号", "Unit number"),
        Field("certificate_number", "不动产权证号", "Certificate number"),
        Field("owner_name", "权利人姓名", "Owner's name"),
        Field("district", "所属区县", "District"),
        Field("address", "坐落", "Address"),
        Field("usage", "用途", "Use"),
        Field("floor_area", "建筑面积（平方米）", "Floor area (square metres)", FieldType.DECIMAL),
        Field("ownership", "共有情况", "Form of ownership"),
        Field("registered_on", "登记日期", "Registered on", FieldType.DATE),
        Field("mortgage_status", "抵押状态", "Mortgage status"),
        Field("mortgage_amount", "抵押金额（元）", "Mortgage amount (yuan)", FieldType.DECIMAL),
        Field("seizure_status", "查封状态", "Seizure status"),
    ),
    sharing_class=AccessClass.CONDITIONAL,
    open_class=AccessClass.NOT_SHARED,
    grade=3,
    personal=True,
    update_cycle_days=1,
)

PARKING_LOTS: Final = Dataset(
    code="parking-lots",
    department=HOUSING,
    title_zh="公共停车场信息",
    title_en="Public parking lots",
    file="housing/parking-lots.csv",
    key_kind=KeyKind.NONE,
    number_column="lot_number",
    fields=(
        Field("name", "停车场名称", "Name"),
        Field("district", "所属区县", "District"),
        Field("location", "位置", "Location"),
        Field("total", "泊位总数", "Places in all", FieldType.INTEGER),
        Field("free", "空余泊位", "Free places", FieldType.INTEGER),
    ),
    sharing_class=AccessClass.UNCONDITIONAL,
    open_class=AccessClass.UNCONDITIONAL,
    grade=1,
    personal=False,
    update_cycle_days=1,
)

SOCIAL_INSURANCE: Final = Dataset(
    code="social-insurance",
    department=SOCIAL_SECURITY,
    title_zh="社会保险参保缴费信息",
    title_en="Social insurance contributions",
    file="social-security/social-insurance.csv",
    encoding=Encoding.GB18030,
    key_kind=KeyKind.RESIDENT,
    number_column="contribution_number",
    fields=(
        Field("insured_name", "参保人姓名", "Insured person's name"),
        Field("district", "参保地", "District"),
        Field("insurance_type", "险种", "Type of insurance"),
        Field("year", "缴费年度", "Year", FieldType.INTEGER),
        Field("employer_name", "单位名称", "Employer's name", optional=True),
        Field(
            "employer_credit_code", "单位统一社会信用代码", "Employer's credit code", optional=True
        ),
        Field(
            "contribution_base",
            "月缴费基数（元）",
            "Monthly contribution base (yuan)",
            FieldType.DECIMAL,
        ),
        Field("months_paid", "缴费月数", "Months paid", FieldType.INTEGER),
        Field("personal_paid", "个人缴费（元）", "Paid by the person (yuan)", FieldType.DECIMAL),
        Field("employer_paid", "单位缴费（元）", "Paid by the employer (yuan)", FieldType.DECIMAL),
        Field("status", "参保状态", "Status"),
    ),
    sharing_class=AccessClass.CONDITIONAL,
    open_class=AccessClass.NOT_SHARED,
    grade=3,
    personal=True,
    update_cycle_days=30,
)

HOUSING_FUND: Final = Dataset(
    code="housing-fund",
    department=HOUSING_FUND_CENTRE,
    title_zh="住房公积金账户信息",
    title_en="Housing fund accounts",
    file="housing-fund/housing-fund.parquet",
    format=FileFormat.PARQUET,
    key_kind=KeyKind.RESIDENT,
    number_column="account_number",
    fields=(
        Field("holder_name", "缴存人姓名", "Account holder's name"),
        Field("employer_name", "单位名称", "Employer's name"),
        Field("employer_credit_code", "单位统一社会信用代码", "Employer's credit code"),
        Field("opened_on", "开户日期", "Opened on", FieldType.DATE),
        Field("deposit_base", "月缴存基数（元）", "Monthly deposit base (yuan)", FieldType.DECIMAL),
        Field("deposit_rate", "缴存比例（%）", "Deposit rate (percent)", FieldType.INTEGER),
        Field(
            "monthly_deposit",
            "月缴存额（元）",
            "Monthly deposit, both parts (yuan)",
            FieldType.DECIMAL,
        ),
        Field("last_deposit_on", "最近缴存日期", "Last deposit on", FieldType.DATE),
        Field("balance", "账户余额（元）", "Balance (yuan)", FieldType.DECIMAL),
        Field("status", "账户状态", "Status"),
        Field("loan_balance", "公积金贷款余额（元）", "Loan balance (yuan)", FieldType.DECIMAL),
    ),
    sharing_class=AccessClass.CONDITIONAL,
    open_class=AccessClass.NOT_SHARED,
    grade=3,
    personal=True,
    update_cycle_days=30,
)

HOSPITAL_VISITS: Final = Dataset(
    code="hospital-visits",
    department=HEALTH,
    title_zh="就诊与结算信息",
    title_en="Hospital visits and settlements",
    file="health/hospital-visits.jsonl",
    format=FileFormat.JSON_LINES,
    key_kind=KeyKind.RESIDENT,
    number_column="visit_number",
    fields=(
        Field("patient_name", "患者姓名", "Patient's name"),
        Field("hospital", "医疗机构", "Hospital"),
        Field("hospital_district", "医疗机构所在区县", "Hospital's district"),
        Field("hospital_level", "医院等级", "Hospital's level"),
        Field("department", "就诊科室", "Department"),
        Field("visit_type", "就诊类型", "Type of visit"),
        Field("admitted_on", "入院（就诊）日期", "Admitted on", FieldType.DATE),
        Field("discharged_on", "出院日期", "Discharged on", FieldType.DATE),
        Field("diagnosis_code", "诊断编码（ICD-10）", "Diagnosis code (ICD-10)"),
        Field("diagnosis_name", "诊断名称", "Diagnosis"),
        Field("insurance_type", "医保类型", "Medical insurance"),
        Field("total_amount", "总费用（元）", "Total (yuan)", FieldType.DECIMAL),
        Field("covered_amount", "医保支付（元）", "Covered by insurance (yuan)", FieldType.DECIMAL),
        Field(
            "self_paid_amount", "个人自付（元）", "Paid by the patient (yuan)", FieldType.DECIMAL
        ),
        Field("settled_on", "结算日期", "Settled on", FieldType.DATE),
    ),
    sharing_class=AccessClass.CONDITIONAL,
    open_class=AccessClass.NOT_SHARED,
    grade=3,
    personal=True,
    update_cycle_days=1,
)

EPIDEMIC_CASES: Final = Dataset(
    code="epidemic-cases",
    department=HEALTH,
    title_zh="传染病周报",
    title_en="Weekly epidemic report",
    file="health/epidemic-cases.csv",
    key_kind=KeyKind.NONE,
    number_column="report_number",
    fields=(
        Field("week_start", "周起始日期", "Week's first day", FieldType.DATE),
        Field("district", "所属区县", "District"),
        Field("disease", "病种", "Disease"),
        Field("new_cases", "新增病例", "New cases", FieldType.INTEGER),
        Field("hospitalized", "住院人数", "In hospital", FieldType.INTEGER),
        Field("severe", "重症人数", "Severe cases", FieldType.INTEGER),
        Field("beds_free", "空余床位", "Free beds", FieldType.INTEGER),
    ),
    sharing_class=AccessClass.NOT_SHARED,
    open_class=AccessClass.NOT_SHARED,
    grade=3,
    personal=False,
    update_cycle_days=7,
)

BUSINESS_REGISTRATION: Final = Dataset(
    code="business-registration",
    department=MARKET,
    title_zh="市场主体登记信息",
    title_en="Business registration",
    file="market/business-registration.csv",
    key_kind=KeyKind.ENTERPRISE,
    number_column="registration_number",
    fields=(
        Field("enterprise_name", "企业名称", "Enterprise's name"),
        Field("enterprise_type", "企业类型", "Type of enterprise"),
        Field("legal_representative", "法定代表人", "Legal representative"),
        Field(
            "registered_capital", "注册资本（元）", "Registered capital (yuan)", FieldType.DECIMAL
        ),
        Field("established_on", "成立日期", "Established on", FieldType.DATE),
        Field("term_ends_on", "营业期限至", "Term ends on", FieldType.DATE, optional=True),
        Field("district", "所属区县", "District"),
        Field("address", "住所", "Address"),
        Field("industry", "行业", "Industry"),
        Field("business_scope", "经营范围", "Scope of business"),
        Field("insured_employees", "参保人数", "Insured employees", FieldType.INTEGER),
        Field("status", "登记状态", "Status"),
    ),
    sharing_class=AccessClass.CONDITIONAL,
    open_class=AccessClass.CONDITIONAL,
    grade=2,
    personal=False,
    update_cycle_days=1,
)

ENTERPRISE_STATISTICS: Final = Dataset(
    code="enterprise-statistics",
    department=MARKET,
    title_zh="区县市场主体统计",
    title_en="Enterprises by district and month",
    file="market/enterprise-statistics.csv",
    key_kind=KeyKind.NONE,
    number_column="statistic_number",
    fields=(
        Field("month", "统计月份", "Month"),
        Field("district", "所属区县", "District"),
        Field("enterprises", "企业总数", "Enterprises", FieldType.INTEGER),
        Field("newly_registered", "当月新登记", "Registered in the month", FieldType.INTEGER),
        Field(
            "registered_capital",
            "注册资本合计（元）",
            "Registered capital in all (yuan)",
            FieldType.DECIMAL,
        ),
        Field("largest_industry", "第一大行业", "Largest industry", optional=True),
    ),
    sharing_class=AccessClass.CONDITIONAL,
    open_class=AccessClass.CONDITIONAL,
    grade=2,
    personal=False,
    update_cycle_days=30,
)

DATASETS: Final = (
    REAL_ESTATE,
    SOCIAL_INSURANCE,
    HOUSING_FUND,
    HOSPITAL_VISITS,
    BUSINESS_REGISTRATION,
    ENTERPRISE_STATISTICS,
    PARKING_LOTS,
    EPIDEMIC_CASES,
)


@dataclass(frozen=True, slots=True)
class Register:
    """A file of the identity authority: everybody whom it can enrol."""

    code: str
    file: str
    key_column: str
    columns: tuple[str, ...]


RESIDENTS: Final = Register(
    code="residents",
    file="identity/residents.csv",
    key_column="resident_id",
    columns=("name", "resident_id", "phone", "birth_date", "address"),
)

ENTERPRISES: Final = Register(
    code="enterprises",
    file="identity/enterprises.csv",
    key_column="credit_code",
    columns=("name", "credit_code", "legal_representative_id"),
)

REGISTERS: Final = (RESIDENTS, ENTERPRISES)


def dataset_of(code: str) -> Dataset:
    """Return the dataset with that code.

    Raises:
        CityError: there is none.
    """
    for dataset in DATASETS:
        if dataset.code == code:
            return dataset
    raise CityError(f"no dataset {code!r}; there are {', '.join(d.code for d in DATASETS)}")

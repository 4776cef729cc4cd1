"""The city's fixed facts: districts, hospitals, diseases, industries.

The districts carry the names of springs, hills and rivers. Their codes begin with 3799, which GB/T 2260
gives to no place, so that no number made from them can be a real person's or enterprise's.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Final

from scripts.city.ids import Sex

REFERENCE_DATE: Final = dt.date(2026, 11, 1)
"""The day of the files: ages and last payments are counted back from it. There is no other clock."""


@dataclass(frozen=True, slots=True)
class District:
    """A district or county; `weight` is its share of the residents, relative to the others."""

    code: str
    name: str
    weight: int


DISTRICTS: Final = (
    District("379901", "历山区", 18),
    District("379902", "明湖区", 14),
    District("379903", "趵突区", 15),
    District("379904", "珍珠区", 9),
    District("379905", "鹊华区", 12),
    District("379906", "玉符区", 7),
    District("379907", "绣江区", 8),
    District("379908", "龙洞区", 6),
    District("379909", "舜耕区", 5),
    District("379910", "汶水区", 4),
    District("379921", "平陵县", 4),
    District("379922", "清源县", 3),
)


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital.

    Attributes:
        weight: its share of the visits, relative to the others.
        only: the departments of a specialists' hospital; a general one (none) has all.
        oldest: the age of the oldest patients.
    """

    name: str
    level: str
    district: str
    weight: int
    only: tuple[str, ...] = ()
    oldest: int = 120


HOSPITALS: Final = (
    Hospital("泉城市第一人民医院", "三级甲等", "历山区", 20),
    Hospital("泉城市中心医院", "三级甲等", "趵突区", 18),
    Hospital("泉城市中医医院", "三级甲等", "明湖区", 12),
    Hospital("泉城市妇幼保健院", "三级甲等", "历山区", 9, ("产科", "妇科")),
    Hospital("泉城市儿童医院", "三级乙等", "珍珠区", 8, oldest=16),
    Hospital("泉城市口腔医院", "三级乙等", "鹊华区", 5, ("口腔科",)),
    Hospital("鹊华区人民医院", "二级甲等", "鹊华区", 8),
    Hospital("玉符区人民医院", "二级甲等", "玉符区", 6),
    Hospital("绣江区人民医院", "二级甲等", "绣江区", 6),
    Hospital("龙洞区中医医院", "二级乙等", "龙洞区", 4),
    Hospital("汶水区人民医院", "二级甲等", "汶水区", 4),
    Hospital("平陵县人民医院", "二级甲等", "平陵县", 4),
    Hospital("清源县人民医院", "二级乙等", "清源县", 3),
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis, and who gets it.

    Attributes:
        code: ICD-10.
        weight: how often, relative to the others.
        inpatient: percent of the visits that are stays.
        cost: usual cost in yuan of a visit without a stay; a stay costs about `stay_cost`.
        ages: youngest and oldest patient, in years.
        sex: the only sex that can have it, if there is one.
    """

    code: str
    name: str
    department: str
    weight: int
    inpatient: int
    cost: int
    stay_cost: int
    ages: tuple[int, int] = (0, 120)
    sex: Sex | None = None


DIAGNOSES: Final = (
    Diagnosis("J06.9", "急性上呼吸道感染", "呼吸内科", 160, 1, 220, 3200),
    Diagnosis("J20.9", "急性支气管炎", "呼吸内科", 70, 8, 320, 4200),
    Diagnosis("J18.9", "肺炎", "呼吸内科", 35, 55, 560, 8200),
    Diagnosis("J45.9", "支气管哮喘", "呼吸内科", 20, 15, 480, 6800),
    Diagnosis("I10", "特发性高血压", "心血管内科", 120, 6, 260, 6500, (35, 120)),
    Diagnosis("I25.1", "冠状动脉粥样硬化性心脏病", "心血管内科", 55, 35, 620, 21000, (45, 120)),
    Diagnosis("I63.9", "脑梗死", "神经内科", 28, 70, 900, 18500, (50, 120)),
    Diagnosis("E11.9", "2型糖尿病", "内分泌科", 80, 10, 380, 7400, (30, 120)),
    Diagnosis("E04.1", "甲状腺结节", "内分泌科", 28, 8, 450, 12500, (18, 120)),
    Diagnosis("K29.5", "慢性胃炎", "消化内科", 75, 4, 420, 5200, (12, 120)),
    Diagnosis("A09", "胃肠炎", "消化内科", 60, 6, 300, 3600),
    Diagnosis("K35.8", "急性阑尾炎", "普通外科", 16, 85, 700, 13800, (5, 80)),
    Diagnosis("K80.2", "胆囊结石", "普通外科", 18, 60, 520, 15600, (20, 120)),
    Diagnosis("N20.0", "肾结石", "泌尿外科", 20, 35, 680, 11200, (18, 90)),
    Diagnosis("N40", "前列腺增生", "泌尿外科", 18, 25, 460, 12800, (50, 120), Sex.MALE),
    Diagnosis("M51.2", "腰椎间盘突出", "骨科", 45, 18, 520, 16800, (20, 90)),
    Diagnosis("M17.9", "膝关节病", "骨科", 35, 15, 480, 42000, (50, 120)),
    Diagnosis("S52.5", "桡骨下端骨折", "骨科", 18, 40, 980, 19500),
    Diagnosis("S82.8", "小腿骨折", "骨科", 12, 65, 1100, 26500),
    Diagnosis("H25.9", "老年性白内障", "眼科", 22, 55, 520, 9800, (60, 120)),
    Diagnosis("H52.1", "近视", "眼科", 40, 0, 260, 0, (5, 40)),
    Diagnosis("K02.9", "龋病", "口腔科", 75, 0, 480, 0, (3, 120)),
    Diagnosis("K04.0", "牙髓炎", "口腔科", 45, 0, 860, 0, (6, 120)),
    Diagnosis("L20.9", "特应性皮炎", "皮肤科", 35, 1, 240, 4200),
    Diagnosis("O80.9", "单胎顺产", "产科", 22, 100, 0, 7800, (21, 42), Sex.FEMALE),
    Diagnosis("D25.9", "子宫平滑肌瘤", "妇科", 20, 45, 520, 16200, (28, 58), Sex.FEMALE),
    Diagnosis("C34.9", "支气管或肺恶性肿瘤", "肿瘤科", 6, 80, 2600, 46000, (45, 120)),
    Diagnosis("B08.4", "手足口病", "儿科", 20, 10, 320, 4100, (0, 8)),
    Diagnosis("Z00.0", "一般健康检查", "体检科", 60, 0, 650, 0, (18, 120)),
)

PLANNED_DEPARTMENTS: Final = ("体检科", "眼科", "口腔科", "皮肤科")
"""The departments that nobody reaches as an emergency."""

HEAVIEST_MONTHS: Final = (1, 2, 11, 12)
"""The months in which most people fall ill."""


@dataclass(frozen=True, slots=True)
class Industry:
    """An industry: its words in enterprises' names, and what such an enterprise is registered to do."""

    name: str
    words: tuple[str, ...]
    scope: str
    weight: int
    monthly_salary: int
    """Usual salary in yuan."""


INDUSTRIES: Final = (
    Industry(
        "软件和信息技术服务业",
        ("软件", "信息技术", "数据科技", "网络科技"),
        "软件开发；信息系统集成服务；数据处理和存储支持服务",
        14,
        13500,
    ),
    Industry(
        "制造业",
        ("机械制造", "电气设备", "精密仪器", "新材料"),
        "通用设备制造；机械零部件加工；新材料技术研发",
        18,
        7600,
    ),
    Industry(
        "批发和零售业",
        ("商贸", "百货", "供应链管理", "电子商务"),
        "日用百货销售；农副产品销售；互联网销售",
        20,
        5600,
    ),
    Industry(
        "建筑业",
        ("建筑工程", "装饰工程", "市政工程"),
        "建设工程施工；住宅室内装饰装修；园林绿化工程施工",
        10,
        6900,
    ),
    Industry(
        "住宿和餐饮业", ("餐饮管理", "酒店管理", "食品"), "餐饮服务；住宿服务；食品销售", 11, 4900
    ),
    Industry(
        "交通运输、仓储和邮政业",
        ("物流", "运输", "仓储服务"),
        "道路货物运输；普通货物仓储服务；国内货物运输代理",
        8,
        6400,
    ),
    Industry(
        "租赁和商务服务业",
        ("企业管理咨询", "人力资源服务", "广告传媒"),
        "企业管理咨询；人力资源服务；广告设计、代理",
        8,
        7100,
    ),
    Industry(
        "科学研究和技术服务业",
        ("检测技术", "工程设计", "生物科技"),
        "检验检测服务；工程技术研究和试验发展；技术推广",
        5,
        10800,
    ),
    Industry(
        "卫生和社会工作",
        ("健康管理", "医疗器械", "养老服务"),
        "健康咨询服务；第一类医疗器械销售；养老服务",
        3,
        8200,
    ),
    Industry(
        "农、林、牧、渔业",
        ("生态农业", "种业", "园艺"),
        "谷物种植；蔬菜种植；农作物种子经营",
        3,
        4600,
    ),
)

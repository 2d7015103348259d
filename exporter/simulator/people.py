"""Made-up people: their names and numbers.

Pure and deterministic. Knows nothing of what they do.
"""

import zlib

_LATIN_GIVEN = (
    *("Ana", "Bruno", "Camila", "Diego", "Elena", "Farid", "Grace", "Hugo", "Inês", "Jonas"),
    *("Karina", "Luis", "Maya", "Nadia", "Omar", "Paula", "Rosa", "Samuel", "Teresa", "Víctor"),
)
_LATIN_FAMILY = (
    *("Abreu", "Bauer", "Castillo", "Díaz", "Eze", "Flores", "García", "Huamán", "Ivanova"),
    *("Jansen", "Khan", "López", "Mamani", "Novak", "Okafor", "Quispe", "Rojas", "Silva", "Vargas"),
)
_CHINESE_FAMILY = tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗")
_CHINESE_GIVEN = (
    *("伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋"),
    *("秀英", "建国", "晓明", "雨桐", "子涵", "欣怡", "浩然", "思远", "佳琪", "志强"),
)


def work_number(vdn: int, agent: int) -> int:
    """The agent's ID, unique in the call center."""
    return 10_000 + vdn * 100 + agent


def name_of(seed: int, cc_id: int, work_no: int) -> str:
    """A made-up name, Latin or Chinese; the same agent always has the same one."""
    pick = zlib.crc32(f"{seed}/{cc_id}/{work_no}".encode())
    pick, chinese = divmod(pick, 2)
    given, family = (_CHINESE_GIVEN, _CHINESE_FAMILY) if chinese else (_LATIN_GIVEN, _LATIN_FAMILY)
    pick, first = divmod(pick, len(given))
    last = family[pick % len(family)]
    return f"{last}{given[first]}" if chinese else f"{given[first]} {last}"

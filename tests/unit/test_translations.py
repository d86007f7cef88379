"""Each NAME.zh-CN.md keeps step with NAME.md, and Chinese texts use the glossary's words."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARK = ".zh-CN"
CHINESE = sorted([*ROOT.glob(f"*{MARK}.md"), *(ROOT / "docs").rglob(f"*{MARK}.md")])
CATALOGUE = ROOT / "orchestration" / "console" / "pages" / "zh.json"
BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"(?<!\S)# .*$", re.MULTILINE)
# a term of the glossary: other renderings, which a trader would not use or which mean another thing
REFUSED = {
    "warehouse": r"(?<!Maven )仓库",
    "embedded server": r"自带的?(服务器|PostgreSQL|QuestDB)|内置服务器|嵌入式",
    "corporate action": r"公司行动|公司行为|权息事件|除权(?!除息)",
    "raw price": r"原始价|未复权",
    "qfq": r"向前复权|正向复权",
    "hfq": r"向后复权|反向复权",
    "ex-date": r"(?<!除权)除息日|除权日",
    "tick": r"逐笔|(?<![\w-])tick(?![\w-])",
    "trade tick": r"逐笔成交|成交明细",
    "quote": r"报价快照|五档报价|行情报价",
    "open interest": r"未平仓合约|空盘量|未平仓数",
    "implied volatility": r"(?<!隐含)波动率|引伸波幅|隐波",
    "put-call parity": r"买卖权平价|认购认沽平价",
    "slot": r"(?<!交易)时段|时隙|时槽",
    "session": r"盘次|场次",
    "lot": r"口数|每口|一口",
    "key": r"失败的键|键失败|键数|每秒键",
    "load": r"载入|装载|导入",
    "build": r"编译|构筑",
    "run": r"跑批|跑一次",
    "job": r"作业",
    "main contract": r"主合约|主要合约",
    "finding": r"发现项|检测项",
    "alert": r"报警|警报|预警",
}
# a page of one market: the word of the other
REFUSED_ON = {"futures": "未平仓", "options": "持仓"}


def english(page: Path) -> Path:
    return page.with_name(page.name.replace(MARK, ""))


def chinese(page: Path) -> Path:
    """The Chinese page of an English one, or that one where nobody translated it."""
    translated = page.with_name(f"{page.stem}{MARK}.md")
    return translated if translated in CHINESE else page


def code_blocks(page: Path) -> list[str]:
    """The blocks without their comments, which each page has in its own language."""
    return [COMMENT.sub("#", block) for block in BLOCK.findall(page.read_text("utf-8"))]


def comments(page: Path) -> list[str]:
    return COMMENT.findall("\n".join(BLOCK.findall(page.read_text("utf-8"))))


def text(page: Path) -> str:
    return BLOCK.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[tuple[Path, str]]:
    """The other pages that a page links to; their sections where these are in English alone."""
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)(#[^)\s]+)?", text(page))
    pages = [((page.parent / link).resolve(), section) for link, section in targets]
    return [
        (path, "" if chinese(path) in CHINESE else section)
        for path, section in pages
        if english(path) != english(page)
    ]


def code_words(page: Path) -> set[str]:
    return {" ".join(word.split()) for word in re.findall(r"`([^`]+)`", text(page))}


def commands_of_tables(page: Path) -> list[list[str]]:
    rows = re.findall(r"^\| (`.*?) \|", text(page), re.MULTILINE)
    return [re.findall(r"`([^`]+)`", row) for row in rows]


def shape(page: Path) -> list[str]:
    """The marks of headings, items and rows of tables, in order."""
    return re.findall(r"^(#+ | *- | *\d\. |\|)", text(page), re.MULTILINE)


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: str(page.relative_to(ROOT)))
class TestPair:
    def test_both_have_the_same_code(self, page: Path) -> None:
        assert code_blocks(english(page))
        assert code_blocks(page) == code_blocks(english(page))
        assert code_words(page) == code_words(english(page))
        assert commands_of_tables(page) == commands_of_tables(english(page))

    def test_comments_in_code_are_chinese(self, page: Path) -> None:
        sentences = [c for c in comments(page) if re.search(r"[a-z] [a-z]", c)]
        assert [c for c in sentences if not re.search(r"[\u4e00-\u9fff]", c)] == []

    def test_both_have_the_same_sections_items_and_rows(self, page: Path) -> None:
        assert shape(page) == shape(english(page))

    def test_both_link_to_the_same_pages_in_chinese_where_there_are(self, page: Path) -> None:
        wanted = [(chinese(path), section) for path, section in links(english(page))]
        assert sorted(links(page)) == sorted(wanted)

    def test_each_links_to_the_other_below_its_title(self, page: Path) -> None:
        for this, other, word in [(page, english(page), "English"), (english(page), page, "中文")]:
            assert this.read_text("utf-8").splitlines()[2] == f"[{word}]({other.name})"


def test_the_pages_are_found_and_listed() -> None:
    index = ROOT / "docs" / "index.md"
    assert len(CHINESE) > 1
    assert set(CHINESE) <= {path for path, _ in links(index)}


def glossary() -> dict[str, list[str]]:
    """The terms of the glossary, each with its Chinese words."""
    words = (
        (ROOT / "docs" / "naming.md").read_text("utf-8").split("## Words\n")[1].split("\n## ")[0]
    )
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", words, re.MULTILINE)
    return {
        term: [re.sub(r" \(.*\)", "", word) for word in chinese_words.split(" / ")]
        for term, chinese_words in rows[1:]
        if chinese_words != "–"
    }


def chinese_texts() -> Iterator[tuple[str, str]]:
    """Every Chinese text without its code, and where it stands."""
    for page in CHINESE:
        yield str(page.relative_to(ROOT)), re.sub(r"`[^`]*`", "", text(page))
    for key, value in json.loads(CATALOGUE.read_text("utf-8")).items():
        yield key, re.sub(r"`[^`]*`", "", value)


@pytest.mark.parametrize("term", REFUSED)
def test_chinese_texts_render_a_term_only_as_the_glossary_does(term: str) -> None:
    refused = re.compile(REFUSED[term])
    assert [word for word in glossary()[term] if refused.search(word)] == []
    assert {place: m[0] for place, said in chinese_texts() if (m := refused.search(said))} == {}


@pytest.mark.parametrize("page", REFUSED_ON)
def test_a_page_of_one_market_has_its_own_word_for_open_interest(page: str) -> None:
    assert REFUSED_ON[page] not in text(ROOT / "docs" / "how-to" / f"{page}{MARK}.md")


def test_each_chinese_word_of_the_glossary_is_used() -> None:
    said = "\n".join(words for _, words in chinese_texts())
    assert {t: w for t, words in glossary().items() for w in words if w not in said} == {}

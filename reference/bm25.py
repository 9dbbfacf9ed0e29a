"""Golden terms and BM25 scores of Lucene, for src/search/goldens/bm25.json.

Runs LuceneReference.java (Java 17, Maven; see there) on texts that test the rules of word division, and on a small
seeded corpus. Lucene orders equal scores by its own numbers, so the hits are sorted here as trec_eval does.

    mvn -q -f reference/lucene/pom.xml dependency:copy-dependencies -DoutputDirectory=JARS
    python reference/bm25.py JARS
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE.parent / "src" / "search" / "goldens" / "bm25.json"

TEXTS = [
    "The dog's tail wagged; the dogs' tails didn't.", "U.S.A. and e.g. i.e. Ph.D. a.m.", "A.B.C's i.b.m.'s boy's S's 's",
    "$1,234.56 and 3.14159, 1.2.3 10:30 9;8 1'000 1,a a,1 3.a a.3 a:3 3:3", "don.t.know a..b a.'b 1.,2 a:b",
    "foo_bar _foo_ __init__ a_1_b ___ _ _. a_.b a._b 1_,2", "https://example.com/path?query=1&x=a%20b#frag",
    "mail me: jane.doe+tag@example.co.uk #hashtag @mention", "state-of-the-art wi-fi C++ C# .NET F# km/h 24/7 1/2",
    "naïve café résumé Ångström Straße ŒUVRE Æther ÇA VA", "Ελληνικά ΣΊΣΥΦΟΣ Москва İSTANBUL ıi \u1e9e",
    "日本語のテキスト。カタカナ、ﾊﾝｶｸ ひらがな 々", "中文分词 测试 123中文abc", "한국어 텍스트 abc한국", "ภาษาไทย ລາວ ខ្មែរ",
    "العربية 12٫5 ١٢٣ עברית צה\"ל ג'ירף", "ಕನ್ನಡ தமிழ் हिन्दी में", "😀 👍🏽 👨‍👩‍👧‍👦 ❤️ 🇩🇪🇫🇷 1️⃣ #️⃣ ☎ ☎️ ★ a😀b ©2020 ®™",
    "it’s O’Neil's rock'n'roll 'quoted' ''double'' dogs’ word＇s Tom‘s", "can't won't I'm they'd 4th 1990s '90s 90's",
    "e\u0301te\u0301 zero\u200bwidth soft\u00adhyphen joi\u200dner", "\ttabs\nnew\r\nlines\\back", "", "   ", "!!! ... ---",
    "the of and", "a I by", "sky dying flies agreed feed ties caresses ponies eed eeds ies sses",
    "hopping hoping falling hissing fizzed conflated troubled sized tanned bly possibly",
    "relational conditional vietnamization predication operator feudalism decisiveness hopefulness callousness",
    "universities University universe generously analogy cooperation co‑operation", "x" * 300, "ab" * 200 + "'s",
    "α-helix β-catenin TGF-β1 IL-6 H2O CO₂ m² ½ x̄ Na⁺ 10µm 37°C 50% £5 №5", "ﬁnance ﬂow ＦＵＬＬ ｗｉｄｔｈ １２３ 𝒜𝓁𝓅𝒽𝒶 𝟏𝟐",
    "“smart” ‘quotes’ — dash… word·word l·l a\u2024b a\u2027b a．b 1．2 a：b", "var_name->field::method()",
]  # fmt: skip

NOUNS = "river dog engine theory glacier market cell painter treaty orbit river's hammers Queries vaccines battery".split()
VERBS = "flows barked measured explains melted traded divided painting signed orbits repeated hammering".split()
FILLERS = "the of a with under quickly very 1990s 3.5 near into and without because old cold running U.S. naïve".split()


def sentences(random_source: random.Random) -> str:
    words = []
    for _ in range(random_source.choice([0, 3, 8, 15, 23, 24, 31, 32, 40, 90, 200])):
        words.append(random_source.choice(random_source.choice([NOUNS, VERBS, FILLERS])))
    return " ".join(words)


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def lucene(jars: str, *words: str) -> list[str]:
    command = ["java", "-cp", f"{jars}/*", str(HERE / "lucene" / "LuceneReference.java"), *words]
    out = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    return out[:-1].split("\n")


def main() -> None:
    jars = sys.argv[1]
    source = random.Random(20250217)
    documents = [(f"d{number}", sentences(source)) for number in range(100)]
    documents += [(f"copy-{number}", documents[3][1]) for number in range(12)]
    queries = [(f"q{number}", " ".join(source.choices(NOUNS + VERBS + FILLERS, k=4))) for number in range(12)]
    queries += [("repeated", "river river river dog's glacier"), ("unknown", "zyzzyva the"), ("empty", "")]
    queries += [("long", " ".join(source.choices(NOUNS + VERBS, k=80)))]
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder, name)) for name in ("texts", "documents", "queries")}
        Path(files["texts"]).write_text("".join(escape(text) + "\n" for text in TEXTS))
        for name, records in (("documents", documents), ("queries", queries)):
            Path(files[name]).write_text("".join(f"{id}\t{escape(text)}\n" for id, text in records))
        terms = [[term for term in line.split("\t") if term] for line in lucene(jars, "tokens", files["texts"])]
        lines = lucene(jars, "search", files["documents"], files["queries"], str(len(documents)))
    hits: dict[str, list] = {query: [] for query, _ in queries}
    for line in lines:
        query, document, score = line.split("\t")
        hits[query].append([document, float(score)])
    for found in hits.values():
        found.sort(key=lambda hit: hit[0].encode(), reverse=True)
        found.sort(key=lambda hit: -hit[1])
        del found[10:]
    golden = {
        "peer": "Lucene 9.12.1 (EnglishAnalyzer, BM25Similarity(0.9, 0.4)), by reference/bm25.py",
        "terms": list(zip(TEXTS, terms, strict=True)),
        "documents": documents,
        "queries": queries,
        "hits": hits,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[") + "\n")


main()

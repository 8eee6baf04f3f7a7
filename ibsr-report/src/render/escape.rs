// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text from files is hostile: host names, segment names, reasons. Here it loses whatever a
//! terminal, a page, a Markdown reader or a spreadsheet would act on.

/// Without anything that moves a cursor or turns the direction of reading.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_active(c) { '\u{fffd}' } else { c }).collect()
}

/// Control characters; line separators, marks and overrides of direction, invisible ones.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{061c}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// As the content of an element or of an attribute in double quotes.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// As Markdown code, also in a table. Backticks and pipes have no spelling there that every
/// reader knows, so they stand between two pieces of code.
#[must_use]
pub fn md_code(text: &str) -> String {
    let mut out = String::new();
    let mut is_open = false;
    for c in plain(text).chars() {
        let entity = match c {
            '`' => Some("&#96;"),
            '|' => Some("&#124;"),
            _ => None,
        };
        if entity.is_some() == is_open {
            out.push('`');
            is_open = !is_open;
        }
        match entity {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    if is_open {
        out.push('`');
    }
    out
}

/// As Markdown prose: no markup, no links, nobody is mentioned.
#[must_use]
pub fn md_prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '\\' | '*' | '_' | '{' | '}' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '`' => out.push_str("&#96;"),
            '[' => out.push_str("&#91;"),
            ']' => out.push_str("&#93;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' => out.push_str("&#124;"),
            '@' => out.push_str("`@`"),
            c => out.push(c),
        }
    }
    out.replace("://", "`://`").replace("www.", "`www.`")
}

/// As a quoted field of RFC 4180 that no spreadsheet takes for a formula.
#[must_use]
pub fn csv(text: &str) -> String {
    let text = plain(text);
    let is_formula = text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\u{fffd}']);
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file may hold anything; a terminal acts on escape sequences.
    #[test]
    fn what_comes_from_a_file_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
        assert_eq!(plain("evil\u{202e}txt.exe"), "evil\u{fffd}txt.exe");
        assert_eq!(plain("größer 漢字 –"), "größer 漢字 –");
    }

    #[test]
    fn markup_is_text() {
        let escaped = html("<img src=x onerror='a' title=\"b\">&amp;");
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
        assert_eq!(html("a&b"), "a&amp;b");
    }

    #[test]
    fn markdown_code_cannot_be_left() {
        assert_eq!(md_code("web-1"), "`web-1`");
        assert_eq!(md_code("a`b|c"), "`a`&#96;`b`&#124;`c`");
        assert_eq!(md_code("|`"), "&#124;&#96;");
        assert_eq!(md_code(""), "");
        assert_eq!(md_code("a\n| b"), "`a\u{fffd}`&#124;` b`");
    }

    #[test]
    fn markdown_prose_has_no_markup_left() {
        assert_eq!(
            md_prose("[x](http://a) *b* <i> a|b"),
            "&#91;x&#93;(http`://`a) \\*b\\* &lt;i&gt; a&#124;b"
        );
        assert_eq!(md_prose("ask @root at www.a.b"), "ask `@`root at `www.`a.b");
    }

    #[test]
    fn a_field_is_no_formula_and_ends_where_it_should() {
        assert_eq!(csv("=1+1"), "\"'=1+1\"");
        assert_eq!(csv("\t=1"), "\"'\u{fffd}=1\"");
        assert_eq!(csv("a\",b\r\nc"), "\"a\"\",b\u{fffd}\u{fffd}c\"");
        assert_eq!(csv("2001:db8::1"), "\"2001:db8::1\"");
    }
}

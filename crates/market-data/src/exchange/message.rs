use std::fmt::Display;

use serde_json::Value;

use super::ExchangeError;

/// Most characters of a message that are kept.
const LONGEST: usize = 200;
/// Most bytes of a body that are looked at: an error of any exchange is far shorter.
const MOST_BYTES: usize = 1 << 16;
/// How deep a message may lie inside other fields.
const DEEPEST: usize = 4;

/// Finds the words of an error in a body: a JSON field that usually holds them, or else the text.
///
/// The names tried are `message`, `msg`, `error_message`, `errorMessage`, `retMsg`, `err_msg`,
/// `err-msg`, `error_description`, `description`, `detail`, `reason`, `error`, `errors` and their
/// like, in any case and with any hyphens, in the object itself first and then inside its fields;
/// without any of them, a code. Anything but JSON is taken as text, an HTML page without its tags and
/// called by that name. The result is one line of at most 200 characters.
///
/// # Examples
/// ```
/// use forecastle_market_data::message_of;
///
/// assert_eq!(message_of(br#"{"error": ["EQuery:Unknown asset pair"]}"#), "EQuery:Unknown asset pair");
/// assert_eq!(message_of(br#"{"retCode": 10001, "retMsg": "params error"}"#), "params error");
/// let page = b"<html><head><title>Sorry</title></head><body><h1>Blocked</h1></body></html>";
/// assert_eq!(message_of(page), "an HTML page: Sorry Blocked");
/// assert_eq!(message_of(b""), "an empty body");
/// ```
pub fn message_of(body: &[u8]) -> String {
    let body = body.get(..MOST_BYTES).unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return "an empty body".to_owned();
    }
    if is_html(text) {
        return plain_text(&format!("an HTML page: {}", without_tags(text)));
    }
    let spoken = serde_json::from_str(text).ok().and_then(|value: Value| spoken(&value, DEEPEST));
    match spoken {
        Some(message) if !is_html(&message) => message,
        Some(page) => plain_text(&without_tags(&page)),
        None => plain_text(text),
    }
}

/// Says of a body that should have been JSON what it is instead.
#[allow(dead_code, reason = "for whoever parses bodies")]
pub(crate) fn not_json(exchange: &str, body: &[u8], error: &dyn Display) -> ExchangeError {
    let start = message_of(body);
    let reason = if start.starts_with("an HTML page") || body.is_empty() {
        format!("no JSON but {start}")
    } else {
        format!("no JSON ({error}): {start}")
    };
    ExchangeError::Malformed { exchange: exchange.to_owned(), row: None, field: None, reason }
}

/// Makes one line of at most 200 characters: runs of blanks and control characters become one
/// blank.
pub(crate) fn plain_text(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * LONGEST {
            break;
        }
    }
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Fields that hold a message, best first, in lower case without `_` and `-`.
const MESSAGES: [&str; 17] = [
    "errormessage",
    "errormsg",
    "errmessage",
    "errmsg",
    "retmsg",
    "message",
    "msg",
    "errordescription",
    "description",
    "detail",
    "details",
    "reason",
    "title",
    "error",
    "errors",
    "err",
    "info",
];
/// Fields that hold a code.
const CODES: [&str; 7] =
    ["errorcode", "errcode", "retcode", "returncode", "code", "errorid", "errorno"];

fn spoken(value: &Value, depth: usize) -> Option<String> {
    said(value, depth).or_else(|| code(value, depth))
}

fn said(value: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::String(text) => {
            Some(plain_text(text)).filter(|text| text.chars().any(char::is_alphanumeric))
        }
        Value::Array(values) => {
            let all: Vec<_> =
                values.iter().take(3).filter_map(|value| said(value, depth)).collect();
            Some(plain_text(&all.join("; "))).filter(|text| !text.is_empty())
        }
        Value::Object(fields) => {
            let direct = MESSAGES.iter().find_map(|name| {
                let mut named = fields.iter().filter(|(key, _)| plain_key(key) == *name);
                named.find_map(|(_, value)| said(value, depth))
            });
            let nested = || {
                let mut inner = fields.values().filter(|value| value.is_object());
                inner.find_map(|value| said(value, depth))
            };
            direct.or_else(nested)
        }
        _ => None,
    }
}

fn code(value: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    let fields = value.as_object()?;
    let direct = CODES.iter().find_map(|name| {
        let (_, value) = fields.iter().find(|(key, _)| plain_key(key) == *name)?;
        match value {
            Value::String(text) if !text.is_empty() => Some(plain_text(&format!("code {text}"))),
            Value::Number(number) => Some(format!("code {number}")),
            _ => None,
        }
    });
    direct.or_else(|| fields.values().find_map(|value| code(value, depth)))
}

fn plain_key(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a text begins as a page does; an XML answer of a proxy counts as one.
fn is_html(text: &str) -> bool {
    let mut start = text.chars();
    start.next() == Some('<')
        && start.next().is_some_and(|c| c == '!' || c == '?' || c.is_alphabetic())
}

/// The text of a page: no tags, comments, scripts or styles; the commonest entities resolved.
fn without_tags(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        text.push_str(before);
        text.push(' ');
        let end = ["<!--", "<script", "<style"]
            .into_iter()
            .zip(["-->", "</script", "</style"])
            .find(|(open, _)| begins_with(tag, open))
            .and_then(|(_, close)| find(tag, close))
            .unwrap_or(0);
        let tail = tag.get(end..).unwrap_or_default();
        rest = tail.find('>').and_then(|close| tail.get(close + 1..)).unwrap_or_default();
    }
    text.push_str(rest);
    for (entity, character) in ENTITIES {
        text = text.replace(entity, character);
    }
    text
}

const ENTITIES: [(&str, &str); 7] = [
    ("&nbsp;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&apos;", "'"),
    ("&amp;", "&"),
];

fn begins_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Where `needle`, an ASCII text, occurs in any case.
fn find(text: &str, needle: &str) -> Option<usize> {
    let windows = text.as_bytes().windows(needle.len());
    windows.into_iter().position(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_shapes_of_errors_give_their_message() {
        for (body, message) in [
            (r#"{"code":-1121,"msg":"Invalid symbol."}"#, "Invalid symbol."),
            (r#"{"error":["EQuery:Unknown asset pair"]}"#, "EQuery:Unknown asset pair"),
            (r#"{"jsonrpc":"2.0","error":{"message":"not found","code":13020}}"#, "not found"),
            (r#"{"status":"error","err-code":"bad","err-msg":"invalid symbol"}"#, "invalid symbol"),
            (r#"{"code":"51001","msg":"","data":[]}"#, "code 51001"),
            (r#"{"errors":[{"message":"one"},{"message":"two"}]}"#, "one; two"),
            (r#"{"status":{"error_code":1,"error_message":"slow down"}}"#, "slow down"),
            (r#"{"error":true,"errorMessage":"no such market"}"#, "no such market"),
            (r#"{"success":false,"error":"nope","message":""}"#, "nope"),
            (r#"["error",10020,"symbol: invalid"]"#, "error; symbol: invalid"),
            (r#""Not Found""#, "Not Found"),
            (r#"{"errno":3}"#, r#"{"errno":3}"#),
            (r#"{"title":"Bad","detail":"interval is unknown"}"#, "interval is unknown"),
            ("\u{feff} error code: 1015\r\n", "error code: 1015"),
            (" \n ", "an empty body"),
        ] {
            assert_eq!(message_of(body.as_bytes()), message, "{body}");
        }
    }

    #[test]
    fn a_page_is_called_one_and_loses_its_tags() {
        let page = "<!DOCTYPE html><!-- x > y --><html><HEAD><title>Just a moment...</title>\
                    <STYLE>p { color: red }</STYLE><script>if (1 < 2) {}</script></HEAD>\
                    <body><p>Checking&nbsp;your <b>browser</b> &amp; more</p>";
        let message = "an HTML page: Just a moment... Checking your browser & more";
        assert_eq!(message_of(page.as_bytes()), message);
        let inside = r#"{"message":"<html><body>Bad Gateway</body></html>"}"#;
        assert_eq!(message_of(inside.as_bytes()), "Bad Gateway");
        assert_eq!(message_of(b"< 5 rows"), "< 5 rows");
        assert_eq!(message_of(b"<html><script>never closed"), "an HTML page: never closed");
    }

    #[test]
    fn a_body_that_is_no_json_is_named() {
        let refusal = |body: &[u8]| {
            let error = serde_json::from_slice::<Value>(body).unwrap_err();
            not_json("okx", body, &error).to_string()
        };
        let prefix = "okx sent a malformed answer: no JSON but";
        assert_eq!(refusal(b"<html>Hi</html>"), format!("{prefix} an HTML page: Hi"));
        assert_eq!(refusal(b""), format!("{prefix} an empty body"));
        assert!(refusal(b"[1, 2").contains("no JSON (EOF while parsing a list"));
    }

    proptest! {
        #[test]
        fn prop_any_body_gives_one_short_line(body in prop::collection::vec(any::<u8>(), 0..400)) {
            let message = message_of(&body);
            prop_assert!(message.chars().count() <= LONGEST + 1);
            prop_assert!(!message.chars().any(char::is_control));
            prop_assert!(!message.is_empty() || !body.is_empty());
        }

        #[test]
        fn prop_any_page_gives_one_short_line(
            parts in prop::collection::vec(
                prop::sample::select(vec!["<", ">", "<!--", "-->", "<script", "</script", "é", "a ", "&amp;"]),
                0..40,
            ),
        ) {
            let message = message_of(format!("<p>{}", parts.concat()).as_bytes());
            prop_assert!(message.starts_with("an HTML page:"));
            prop_assert!(message.chars().count() <= LONGEST + 1);
        }
    }
}

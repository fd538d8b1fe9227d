//! Texts that come from outside, made fit to be shown. A server or a proxy may
//! repeat what it was sent, a password or a lock's value, and in its own spelling.
//! `lib/redact.js` does the same for what only JavaScript sees.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use redis::ServerError;

use super::config::{Config, Endpoint};
use super::protocol::error_code::error_code;
use super::secret::Secret;
use crate::engine::{Cause, quoted};

/// Takes the secrets of a configuration out of texts.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    secrets: Vec<Secret>,
}

/// What stands in a secret's place, and for what was cut off.
const HIDDEN: &str = "…";

/// More of a text is not shown, in characters.
const LONGEST: usize = 300;

/// A secret that is shorter is only taken for one where it is a whole word.
const SHORTEST: usize = 3;

/// So much of a secret, where a text was cut inside it, is taken for one.
const SHORTEST_PART: usize = 4;

impl Redactor {
    pub(crate) fn new(config: &Config) -> Self {
        let of_sentinels = match &config.endpoint {
            Endpoint::Sentinel(sentinels) => sentinels.password.as_ref(),
            _ => None,
        };
        let secrets = config.password.iter().chain(of_sentinels).cloned();
        Self {
            secrets: secrets.collect(),
        }
    }

    /// `text` without the secrets and `others`, in whatever way they are escaped,
    /// on one line, and no longer than anybody reads.
    pub(crate) fn clean(&self, text: &str, others: &[&str]) -> String {
        let secrets: Vec<&str> = self
            .secrets
            .iter()
            .map(Secret::reveal)
            .chain(others.iter().copied())
            .filter(|secret| !secret.is_empty())
            .collect();
        let mut clean = String::new();
        let mut length = 0;
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            if length == LONGEST {
                clean.push_str(HIDDEN);
                break;
            }
            length += 1;
            let hidden = secrets.iter().filter_map(|secret| found(text, at, secret));
            if let Some(end) = hidden.max() {
                clean.push_str(HIDDEN);
                at = end;
            } else {
                clean.push(shown(next));
                at += next.len_utf8();
            }
        }
        clean
    }

    /// What has the name of a host that a server has said, for people. That may be a secret,
    /// and a secret may occur in a name by chance: the host is used, and hidden only here.
    pub(crate) fn named(&self, what: &impl fmt::Display) -> String {
        quoted(&self.clean(&what.to_string(), &[]))
    }

    /// A server's error as a cause, without the secrets and `others`.
    pub(crate) fn refused(&self, error: &ServerError, others: &[&str]) -> Cause {
        let code = error.code();
        let mut message = match error.details() {
            Some(details) => format!("{code} {details}"),
            None => code.to_owned(),
        };
        if let Some(echo) = message.find(", with args beginning with") {
            message.truncate(echo);
        }
        let known_by = error_code(error);
        let code = if self.clean(known_by, others) == known_by {
            known_by
        } else {
            "ERR"
        };
        Cause::Refused {
            code: code.into(),
            message: Rc::from(self.clean(&message, others)),
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Redactor(…)")
    }
}

/// A text is one line.
fn shown(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}

/// Where `secret` ends that begins at `at` of `text`, if it does.
fn found(text: &str, at: usize, secret: &str) -> Option<usize> {
    // Nearly always it doesn't, and nothing needs to be kept.
    spellings(&text[at..], secret.chars().next()?).next()?;
    // A secret's characters may themselves look like the spelling of another one.
    let mut ends = BTreeSet::from([at]);
    let mut matched = 0;
    for wanted in secret.chars() {
        if matched >= SHORTEST_PART && ends.contains(&text.len()) {
            return Some(text.len());
        }
        let spelt = |end| spellings(&text[end..], wanted).map(move |length| end + length);
        ends = ends.into_iter().flat_map(spelt).collect();
        matched += 1;
    }
    let is_word = |edge: Option<char>| !edge.is_some_and(char::is_alphanumeric);
    let stands_alone =
        |end: usize| is_word(text[..at].chars().next_back()) && is_word(text[end..].chars().next());
    let mut ends = ends.into_iter().rev();
    ends.find(|end| matched >= SHORTEST || stands_alone(*end))
}

/// How long the spellings of `wanted` are that `text` begins with: as it is shown
/// (Redis itself puts spaces in the place of line breaks), percent-encoded, or
/// escaped as in JSON, in C or by Redis.
fn spellings(text: &str, wanted: char) -> impl Iterator<Item = usize> + use<> {
    let next = text.chars().next();
    let shown = next.filter(|next| shown(*next) == shown(wanted));
    let mut bytes = [0; 4];
    let bytes = wanted.encode_utf8(&mut bytes).as_bytes();
    let each = || bytes.iter().map(|byte| u32::from(*byte));
    let mut units = [0; 2];
    let units = wanted.encode_utf16(&mut units).iter();
    let short = match wanted {
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\x07' => Some('a'),
        '\x08' => Some('b'),
        '\x0c' => Some('f'),
        '"' | '\'' | '\\' | '/' => Some(wanted),
        _ => None,
    };
    let rest = text.strip_prefix('\\').zip(short);
    let lengths = [
        shown.map(char::len_utf8),
        (wanted == ' ' && next == Some('+')).then_some(1),
        escaped(text, "%", 2, each()),
        rest.and_then(|(rest, short)| rest.starts_with(short).then_some(2)),
        escaped(text, "\\x", 2, each()),
        escaped(text, "\\u", 4, units.map(|unit| u32::from(*unit))),
    ];
    lengths.into_iter().flatten()
}

/// How long these `numbers` are at the beginning of `text`, each as `mark` and so
/// many hexadecimal digits.
fn escaped(
    text: &str,
    mark: &str,
    digits: usize,
    numbers: impl Iterator<Item = u32>,
) -> Option<usize> {
    let mut rest = text;
    for number in numbers {
        rest = rest.strip_prefix(mark)?;
        let written = rest.get(..digits)?;
        if u32::from_str_radix(written, 16) != Ok(number) {
            return None;
        }
        rest = &rest[digits..];
    }
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secret = |secret: &&str| Secret::from(String::from(*secret));
        Redactor {
            secrets: secrets.iter().map(secret).collect(),
        }
    }

    fn error(line: &str) -> ServerError {
        let parsed = redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
        match parsed.expect("an error") {
            redis::Value::ServerError(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_secret_is_hidden_however_it_is_spelt() {
        let secret = "p/4 \"ü\\\n💡";
        let redactor = redactor(&[secret]);
        for spelt in [
            secret,
            "p%2F4%20%22%C3%BC%5C%0A%F0%9F%92%A1",
            "p%2f4+%22%c3%bc%5c%0a%f0%9f%92%a1",
            "%70%2f%34%20%22%c3%bc%5c%0a%f0%9f%92%a1",
            r#"p/4 \"ü\\\n💡"#,
            r#"p\/4 \"\u00fc\\\n\ud83d\udca1"#,
            r"p\u002F4\u0020\u0022\u00FC\u005C\u000A\uD83D\uDCA1",
            r#"p/4 \"\xc3\xbc\\\n\xf0\x9f\x92\xa1"#,
            "p/4 \"ü\\ 💡",
            "p/4\t\"ü\\\r💡",
        ] {
            let text = format!("ERR no '{spelt}' and {spelt}.");
            assert_eq!(redactor.clean(&text, &[]), "ERR no '…' and ….", "{spelt}");
        }
    }

    #[test]
    fn a_secret_is_hidden_that_looks_as_if_it_were_escaped() {
        for secret in ["a\\\\b", "50%25", r"\x5cx", r"\u005cu", r"\\\\\\"] {
            let redactor = redactor(&[secret]);
            let escaped = secret.replace('\\', r"\\");
            let text = format!("ERR no '{secret}' and '{escaped}'");
            assert_eq!(redactor.clean(&text, &[]), "ERR no '…' and '…'", "{secret}");
        }
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_is_a_word() {
        let redactor = redactor(&["no"]);
        let text = "no node knows 'no' nor no";
        assert_eq!(redactor.clean(text, &[]), "… node knows '…' nor …");
        assert_eq!(redactor.clean("none", &[""]), "none");
    }

    #[test]
    fn of_two_secrets_the_longer_one_is_hidden_whole() {
        let redactor = redactor(&["hunter", "hunter2"]);
        assert_eq!(redactor.clean("hunter22 hunter", &[]), "…2 …");
        assert_eq!(redactor.clean("a value: 0123", &["0123"]), "a value: …");
    }

    #[test]
    fn the_beginning_of_a_secret_at_the_end_of_a_text_is_hidden() {
        let redactor = redactor(&["hunter2-hunter2"]);
        assert_eq!(redactor.clean("ERR 'hunter2-hu", &[]), "ERR '…");
        assert_eq!(redactor.clean("who hunts", &[]), "who hunts");
    }

    #[test]
    fn a_text_is_one_line_and_is_cut_between_characters() {
        let redactor = redactor(&[]);
        assert_eq!(redactor.clean("a\r\nb\x1b[31m", &[]), "a  b [31m");
        let cut = redactor.clean(&"ü".repeat(400), &[]);
        assert_eq!(cut, format!("{}…", "ü".repeat(LONGEST)));
        let whole = "x".repeat(LONGEST);
        assert_eq!(redactor.clean(&whole, &[]), whole);
    }

    #[test]
    fn a_servers_error_has_a_code_that_is_a_word_of_servers() {
        let redactor = redactor(&["HUNTER"]);
        let cases = [
            ("WRONGTYPE of key", "WRONGTYPE", "WRONGTYPE of key"),
            ("HUNTER of key", "ERR", "… of key"),
            ("xHUNTERx", "ERR", "x…x"),
            ("value is wrong", "ERR", "value is wrong"),
            (&"A".repeat(33), "ERR", &"A".repeat(33)),
            (
                "ERR unknown command 'X', with args beginning with: 'HUN' ",
                "ERR",
                "ERR unknown command 'X'",
            ),
        ];
        for (line, code, message) in cases {
            let Cause::Refused {
                code: its,
                message: text,
            } = redactor.refused(&error(line), &[])
            else {
                panic!("{line}");
            };
            assert_eq!((&*its, &*text), (code, message));
        }
    }

    #[test]
    fn an_address_that_a_server_has_said_is_told_from_our_words_without_the_secrets() {
        let redactor = redactor(&["hunter2", "127"]);
        let named = |address: &str| redactor.named(&address);
        assert_eq!(named("a.hunter2:1"), quoted("a.…:1"));
        assert_eq!(named("127.0.0.1:6379"), quoted("….0.0.1:6379"));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", redactor(&["hunter2"])).contains("hunter2"));
    }
}

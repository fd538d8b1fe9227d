//! What no text that is made of a reply may show.

use bolero::check;

use super::frames::replies_in;
use super::pieces::{Piece, join};
use super::sample_reply::line;
use super::votes::Asked;
use crate::engine::{Cause, Vote};
use crate::instances::redis::config::{Address, Config, Endpoint, Sentinels};
use crate::instances::redis::dial::master_of;
use crate::instances::redis::protocol::command::{ParsedReply, parse_reply};
use crate::instances::redis::redact::Redactor;
use crate::instances::redis::secret::Secret;

/// The server's password, which could be a host's name.
pub(super) const PASSWORD: &str = "hunter2-pass";

/// The sentinels', with what is escaped in texts.
const PASSPHRASE: &str = "p/4 \"ü\\\\\n%25💡";

/// The lock's value, which could be a server's word for an error.
pub(super) const VALUE: &str = "HUNTERTWO";

/// What knows the passwords.
pub(super) fn redactor() -> Redactor {
    let endpoint = Endpoint::Sentinel(Sentinels {
        addresses: vec![asked()],
        service: "main".into(),
        tls: None,
        username: None,
        password: Some(Secret::from(PASSPHRASE.to_owned())),
    });
    Redactor::new(&Config {
        password: Some(Secret::from(PASSWORD.to_owned())),
        ..Config::new(endpoint)
    })
}

/// Where the node is that has said it.
pub(super) fn asked() -> Address {
    Address {
        host: "asked".into(),
        port: 1,
    }
}

/// How servers, proxies and programs may repeat a secret.
const SPELT: [&str; 16] = [
    PASSWORD,
    "hunter2%2Dpass",
    r"\x68unter2-pass",
    r"hunter2\u002dpass",
    PASSPHRASE,
    r#"p/4 \"ü\\\\\n%25💡"#,
    r#"p\/4 \"\u00fc\\\\\n%25\ud83d\udca1"#,
    r#"p/4 \"\xc3\xbc\\\\\n%25\xf0\x9f\x92\xa1"#,
    "p%2F4+%22%C3%BC%5C%5C%0A%2525%F0%9F%92%A1",
    VALUE,
    "ERR",
    "WRONGPASS",
    " ",
    "'",
    ", with args beginning with: ",
    "0123456789012345678901234567890123456789012345678901234567890123456789",
];

/// The first of them, which whoever is configured with them knows.
pub(super) const PASSWORDS: usize = 9;

/// And the lock's value, for what answers a question of a lock's.
const SECRETS: usize = PASSWORDS + 1;

pub(super) fn shows_none(secrets: usize, cause: &Cause) {
    let shown = [
        cause.to_string(),
        cause.reply().unwrap_or_default().to_owned(),
        format!("{cause:?}"),
    ];
    for text in shown {
        for secret in SPELT[..secrets].iter().map(|secret| line(secret)) {
            assert!(!text.contains(&secret), "{text}");
        }
    }
    if let Cause::Refused { code, message } = cause {
        assert!(code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase()));
        assert!(message.chars().count() <= 301, "nobody reads so much");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

/// The address may be used, and what is shown of it repeats no password.
pub(super) fn shows_no_address(address: &Address) {
    let what = redactor().named(address).into();
    shows_none(PASSWORDS, &Cause::Unreachable { what });
}

/// A server may repeat what it was sent, anywhere in a reply. What is made of it,
/// whoever has asked, doesn't.
#[test]
fn no_cause_shows_a_secret() {
    let redactor = redactor();
    check!()
        .with_type::<(u8, Vec<Piece>, u8, Asked)>()
        .for_each(|(first, pieces, kind, asked_for)| {
            let first = SPELT[usize::from(*first) % SPELT.len()];
            let rest = join(pieces, &SPELT);
            let text = line(&format!("{first} {}", String::from_utf8_lossy(&rest)));
            let bytes = match kind % 4 {
                0 | 1 => format!("-{text}\r\n"),
                2 => format!("+{text}\r\n"),
                _ => format!("*1\r\n-{text}\r\n"),
            };
            let replies = replies_in(bytes.as_bytes());
            let [reply] = &replies[..] else {
                return;
            };
            let question = asked_for.question();
            let form = asked_for.form(&question);
            if let ParsedReply::Vote(Vote::Failed(cause)) | ParsedReply::Impossible(cause) =
                parse_reply(reply.clone(), form, &question, &redactor)
            {
                shows_none(SECRETS, &cause);
            }
            if let Err(cause) = master_of(reply.clone(), "main", &redactor) {
                shows_none(PASSWORDS, &cause);
            }
        });
}

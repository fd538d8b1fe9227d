//! Whole replies, made at random: as a server writes them and as they are read.

use bolero::TypeGenerator;
use bolero::generator::produce;
use redis::Value;

use super::secrets::VALUE;

/// A reply as a server has it.
#[derive(Clone, Debug, TypeGenerator)]
pub(super) enum SampleReply {
    Nil,
    Okay,
    Int(i64),
    /// A number of keys, or nearly one.
    Few(i8),
    Bulk(Vec<u8>),
    /// The same as a string.
    FewInText(i8),
    Simple(String),
    Error(u8, String),
    Array(#[generator(produce::<Vec<SampleReply>>().with().len(0_usize..5))] Vec<SampleReply>),
}

const CODES: [&str; 6] = ["NOSCRIPT", "ERR", "MOVED", "READONLY", "no", VALUE];

impl SampleReply {
    pub(super) fn render(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.extend(b"$-1\r\n"),
            Self::Okay => out.extend(b"+OK\r\n"),
            Self::Int(number) => out.extend(format!(":{number}\r\n").as_bytes()),
            Self::Few(number) => Self::Int((number % 5).into()).render(out),
            Self::Bulk(bytes) => {
                out.extend(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend(bytes);
                out.extend(b"\r\n");
            }
            Self::FewInText(number) => bulk(&(number % 5).to_string()).render(out),
            Self::Simple(text) => out.extend(format!("+{}\r\n", line(text)).as_bytes()),
            Self::Error(code, text) => {
                let code = CODES[usize::from(*code) % CODES.len()];
                out.extend(format!("-{code} {}\r\n", line(text)).as_bytes());
            }
            Self::Array(parts) => {
                out.extend(format!("*{}\r\n", parts.len()).as_bytes());
                for part in parts {
                    part.render(out);
                }
            }
        }
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Okay => Value::Okay,
            Self::Int(number) => Value::Int(*number),
            Self::Few(number) => Value::Int((number % 5).into()),
            Self::Bulk(bytes) => Value::BulkString(bytes.clone()),
            Self::FewInText(number) => bulk(&(number % 5).to_string()).value(),
            Self::Simple(text) => match line(text).as_str() {
                "OK" => Value::Okay,
                text => Value::SimpleString(text.to_owned()),
            },
            Self::Error(..) => {
                let mut bytes = Vec::new();
                self.render(&mut bytes);
                redis::parse_redis_value(&bytes).expect("an error")
            }
            Self::Array(parts) => Value::Array(parts.iter().map(Self::value).collect()),
        }
    }
}

pub(super) fn bulk(text: &str) -> SampleReply {
    SampleReply::Bulk(text.as_bytes().to_vec())
}

/// A simple string and an error have one line: servers put spaces in the place
/// of line breaks.
pub(super) fn line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

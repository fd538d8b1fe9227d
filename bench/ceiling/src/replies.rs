//! The few replies there are, recognised where they stand.

/// What the server said, and how many bytes it took to say it.
pub struct Reply<'a> {
    pub body: Body<'a>,
    pub length: usize,
}

pub enum Body<'a> {
    /// `OK` or 1.
    Yes,
    /// Nothing, or 0.
    No,
    /// A digest, or the letters of a merged release.
    Text(&'a [u8]),
    /// What must not happen here: an error, or a reply of another kind.
    Unexpected(&'a [u8]),
}

/// The first reply in `bytes`; `None` if it is not all there yet.
pub fn first(bytes: &[u8]) -> Option<Reply<'_>> {
    if bytes.starts_with(b"+OK\r\n") {
        return Some(Reply {
            body: Body::Yes,
            length: 5,
        });
    }
    if bytes.starts_with(b":1\r\n") {
        return Some(Reply {
            body: Body::Yes,
            length: 4,
        });
    }
    let line = &bytes[..bytes.iter().position(|&byte| byte == b'\n')?];
    let length = line.len() + 1;
    let line = &line[..line.len() - 1];
    match line {
        b":0" | b"$-1" => Some(Reply {
            body: Body::No,
            length,
        }),
        [b'$', digits @ ..] => {
            let text = str::from_utf8(digits).ok()?.parse::<usize>().ok()?;
            let body = bytes.get(length..length + text)?;
            let length = length + text + 2;
            (length <= bytes.len()).then_some(Reply {
                body: Body::Text(body),
                length,
            })
        }
        other => Some(Reply {
            body: Body::Unexpected(other),
            length,
        }),
    }
}

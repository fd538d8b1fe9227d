//! The code that a server's error is known by, as READONLY.

use redis::ServerError;

/// No server's code is longer.
const LONGEST: usize = 32;

/// What servers say of a command that a script gives them, too.
const INSIDE_SCRIPTS: [&str; 15] = [
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "WRONGTYPE",
];

/// What servers say in place of NOPERM inside scripts.
const NO_PERMISSION: [&str; 2] = [
    "The user executing the script can't ",
    "ACL failure in script",
];

/// The code: the error's first word, or, if a script has had it from a command of its
/// own, the first word of that. `ERR` where there is none.
pub(crate) fn error_code(error: &ServerError) -> &str {
    let code = error.code();
    let is_word =
        (1..=LONGEST).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let details = error.details().unwrap_or_default();
    let inside = match code {
        "ERR" => inside_script(details),
        // A script hands on what it was answered.
        "@user_script:" | "user_script:" => inside_script(&format!("{code} {details}")),
        _ => None,
    };
    inside.unwrap_or(if is_word { code } else { "ERR" })
}

/// The code of the error that a script has had, in the text of its own, as servers
/// before Redis 7 write it: where it stands there is certain, and what comes after
/// it, names of keys or of users, is not looked at.
fn inside_script(text: &str) -> Option<&'static str> {
    let mut rest = text;
    if let Some(call) = rest.strip_prefix("Error running script (call to ") {
        let (digest, error) = call.split_once("): ")?;
        let digest = digest.strip_prefix("f_").unwrap_or(digest);
        if !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        rest = error;
    }
    while let Some(number) = rest
        .strip_prefix("@user_script:")
        .or_else(|| rest.strip_prefix("user_script:"))
    {
        rest = after_number(number)?;
    }
    if NO_PERMISSION.iter().any(|text| rest.starts_with(text)) {
        return Some("NOPERM");
    }
    if rest.len() == text.len() {
        return None;
    }
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let (word, _) = rest.split_once(' ').unwrap_or((rest, ""));
    INSIDE_SCRIPTS.into_iter().find(|known| *known == word)
}

/// What comes after the number of a script's line.
fn after_number(text: &str) -> Option<&str> {
    let (number, rest) = text.trim_start().split_once(':')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_of(line: &str) -> String {
        let parsed = redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
        match parsed.expect("an error") {
            redis::Value::ServerError(error) => error_code(&error).to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_word_is_found_wherever_a_script_leaves_it() {
        const CALL: &str =
            "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): ";
        for (line, word) in [
            (
                "READONLY You can't write against a read only replica. script: 6b1b, on @user_script:1.",
                "READONLY",
            ),
            (
                &format!(
                    "{CALL}@user_script:1: -READONLY You can't write against a read only replica."
                ),
                "READONLY",
            ),
            (
                &format!("{CALL}@user_script:9: @user_script: 9: -READONLY You can't write"),
                "READONLY",
            ),
            (
                &format!(
                    "{CALL}@user_script:1: @user_script: 1: -MISCONF Redis is configured to save"
                ),
                "MISCONF",
            ),
            (
                &format!(
                    "{CALL}@user_script:1: -OOM command not allowed when used memory > 'maxmemory'."
                ),
                "OOM",
            ),
            (
                &format!("{CALL}@user_script:1: WRONGTYPE Operation against a key"),
                "WRONGTYPE",
            ),
            (&format!("{CALL}@user_script:1: -LOADING"), "LOADING"),
            (
                &format!(
                    "{CALL}@user_script:1: @user_script: 1: The user executing the script can't run this command or subcommand"
                ),
                "NOPERM",
            ),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: e, on @user_script:1.",
                "NOPERM",
            ),
            (
                "ERR ACL failure in script: User locker has no permissions to run the 'del' command",
                "NOPERM",
            ),
            (
                "ERR Error running script (call to 6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:1: -READONLY no",
                "READONLY",
            ),
            (
                "@user_script: 5: -READONLY You can't write against a read only replica.",
                "READONLY",
            ),
            (
                "@user_script: 5: @user_script: 5: -MASTERDOWN Link with MASTER is down",
                "MASTERDOWN",
            ),
        ] {
            assert_eq!(word_of(line), word, "{line}");
        }
    }

    #[test]
    fn a_name_inside_a_text_is_no_word() {
        const CALL: &str = "ERR Error running script (call to f_6b1b): ";
        for line in [
            "ERR no key '-READONLY '",
            "ERR -READONLY is a name",
            "ERR READONLY is a name",
            &format!("{CALL}@user_script:1: no key -READONLY here"),
            &format!("{CALL}@user_script:1: 'READONLY' @user_script:1: -READONLY x"),
            &format!("{CALL}@user_script:-READONLY: -READONLY x"),
            "ERR Error running script (call to x): @user_script:1: -READONLY x): -READONLY x",
            "@user_script: -READONLY ",
            &format!("{CALL}@user_script:1: -NOSCRIPT none"),
            &format!("{CALL}@user_script:1: -READONLYX none"),
        ] {
            assert_eq!(word_of(line), "ERR", "{line}");
        }
        assert_eq!(
            word_of("NOPERM no access to the '-READONLY ' key"),
            "NOPERM"
        );
    }
}

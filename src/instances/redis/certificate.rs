//! What a certificate says of itself, read where the TLS library can't: of any
//! version, and whoever vouches for it.

use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// A certificate's parts, each as it is encoded (X.509, RFC 5280).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificate<'der> {
    /// Whether it is of version 1, which has no extensions: no names, above all.
    pub(super) is_version_1: bool,
    /// Who vouches for it, as its subject calls itself.
    issuer: &'der [u8],
    subject: &'der [u8],
    not_before: UnixTime,
    not_after: UnixTime,
    /// The public key, with what kind it is of.
    pub(super) key: &'der [u8],
    /// Of what kind, without the head of that.
    pub(super) key_algorithm: &'der [u8],
    /// The key alone.
    pub(super) key_bits: &'der [u8],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl<'der> Certificate<'der> {
    /// `None` where it is no certificate.
    pub(super) fn read(der: &'der [u8]) -> Option<Self> {
        let mut whole = Reader(der).inside(SEQUENCE)?;
        let mut signed = whole.inside(SEQUENCE)?;
        // Absent, it is 1; 0 is 1, 1 is 2 and 2 is 3.
        let version = match signed.inside(VERSION) {
            Some(mut version) => version.inside(INTEGER)?.0,
            None => &[0],
        };
        signed.inside(INTEGER)?;
        signed.inside(SEQUENCE)?;
        let issuer = signed.inside(SEQUENCE)?.0;
        let mut validity = signed.inside(SEQUENCE)?;
        let subject = signed.inside(SEQUENCE)?.0;
        let key = signed.whole(SEQUENCE)?;
        let mut parts = Reader(key).inside(SEQUENCE)?;
        let key_algorithm = parts.inside(SEQUENCE)?.0;
        // The first byte says how many bits of the last one don't count: none.
        let (&0, key_bits) = parts.inside(BIT_STRING)?.0.split_first()? else {
            return None;
        };
        Some(Self {
            is_version_1: version == [0],
            issuer,
            subject,
            not_before: validity.time()?,
            not_after: validity.time()?,
            key,
            key_algorithm,
            key_bits,
        })
    }

    /// Whether it is one that vouches for itself, by its names.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether its dates hold.
    ///
    /// # Errors
    ///
    /// Which one doesn't.
    pub(super) fn check_dates(&self, now: UnixTime) -> Result<(), CertificateError> {
        if now < self.not_before {
            Err(CertificateError::NotValidYet)
        } else if self.not_after < now {
            Err(CertificateError::Expired)
        } else {
            Ok(())
        }
    }
}

/// What is left of an encoding (DER).
struct Reader<'der>(&'der [u8]);

impl<'der> Reader<'der> {
    /// Takes the next part, if it is of this kind.
    fn whole(&mut self, kind: u8) -> Option<&'der [u8]> {
        let (head, length) = self.head(kind)?;
        let (part, rest) = self.0.split_at_checked(head.checked_add(length)?)?;
        self.0 = rest;
        Some(part)
    }

    /// Takes the next part, if it is of this kind, and reads inside of it.
    fn inside(&mut self, kind: u8) -> Option<Self> {
        let (head, _) = self.head(kind)?;
        Some(Self(&self.whole(kind)?[head..]))
    }

    /// How long the next part's head is and what follows it, if it is of this kind.
    fn head(&self, kind: u8) -> Option<(usize, usize)> {
        match *self.0 {
            [found, ..] if found != kind => None,
            [_, length @ 0..=0x7f, ..] => Some((2, length.into())),
            [_, 0x81, length, ..] => Some((3, length.into())),
            [_, 0x82, high, low, ..] => Some((4, u16::from_be_bytes([high, low]).into())),
            [_, 0x83, high, middle, low, ..] => {
                let length = u32::from_be_bytes([0, high, middle, low]);
                Some((5, usize::try_from(length).ok()?))
            }
            _ => None,
        }
    }

    /// Takes the next part, a time: `YYMMDDhhmmssZ`, or with a year of four digits.
    fn time(&mut self) -> Option<UnixTime> {
        let (text, year) = if let Some(Self(text)) = self.inside(UTC_TIME) {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (rest, year + if year < 50 { 2000 } else { 1900 })
        } else {
            let (year, rest) = self.inside(GENERALIZED_TIME)?.0.split_at_checked(4)?;
            (rest, number(year)?)
        };
        let [month, day, hour, minute, second] = match text.strip_suffix(b"Z")?.as_chunks::<2>() {
            (parts, []) => <[_; 5]>::try_from(parts).ok()?.map(|part| number(&part)),
            _ => return None,
        };
        let days = days(year, month?, day?)?;
        let seconds = ((days * 24 + hour?) * 60 + minute?) * 60 + second?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits)
        .ok()
        .filter(|_| are_digits)?
        .parse()
        .ok()
}

/// How many days a date is after 1 January 1970; 0 for one before it.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    /// Days of the year before each month, where February has 28.
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = *BEFORE.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    if year < 1970 {
        return Some(0);
    }
    let leap_days = |until: u64| until / 4 - until / 100 + until / 400;
    let is_leap = leap_days(year) > leap_days(year - 1);
    let leap = u64::from(is_leap && month > 2);
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(years + before + leap + day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(kind: u8, text: &str) -> Option<u64> {
        let mut der = vec![kind, u8::try_from(text.len()).expect("short")];
        der.extend(text.as_bytes());
        Reader(&der).time().map(|time| time.as_secs())
    }

    #[test]
    fn a_date_is_a_point_in_time() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "000229120000Z"), Some(951_825_600));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(
            time(GENERALIZED_TIME, "20500101000000Z"),
            Some(2_524_608_000)
        );
        assert_eq!(
            time(GENERALIZED_TIME, "21000301000000Z"),
            Some(4_107_542_400)
        );
        assert_eq!(time(UTC_TIME, "500101000000Z"), Some(0), "long past");
        for odd in [
            "70010100000Z",
            "7001010000001",
            "700001000000Z",
            "701301000000Z",
            "7001+1000000Z",
            "Z",
            "",
        ] {
            assert_eq!(time(UTC_TIME, odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x02\x30\x05",
            &[0x30; 64],
        ] {
            assert_eq!(Certificate::read(der), None);
        }
    }
}

//! When a certificate ends, read from its DER.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate ends (RFC 5280, 4.1); none where it is none.
pub(super) fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if let Some((_, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    // The serial number, the algorithm and the issuer come before it.
    for _ in 0..3 {
        fields = any(fields)?.2;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, _, validity) = any(validity)?;
    let (kind, text, _) = any(validity)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

fn time(kind: u8, text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let text = match (kind, text.len()) {
        // Two digits are years from 1950 to 2049.
        (UTC_TIME, 12) if text < "50" => format!("20{text}"),
        (UTC_TIME, 12) => format!("19{text}"),
        (GENERALIZED_TIME, 14) => text.to_owned(),
        _ => return None,
    };
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    let (month, day) = (number(4..6)?, number(6..8)?);
    let at = DateTime::new(year, month, day, number(8..10)?, number(10..12)?, number(12..14)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(at).ok()
}

/// The content of an element that begins here with a tag, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(der).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// The tag and content of the element that begins here, and what is behind it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_real_certificates_is_read() {
        let ends: Vec<_> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|certificate| not_after(certificate.as_ref()))
            .collect();
        assert!(ends.len() > 50 && ends.iter().all(Option::is_some), "{ends:?}");
        let years: Vec<_> = ends.into_iter().flatten().map(|end| end.as_second() / 31_557_600 + 1970).collect();
        assert!(years.iter().all(|year| (2024..2060).contains(year)), "{years:?}");
    }

    #[test]
    fn what_is_cut_or_mangled_is_no_certificate() {
        let whole = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].as_ref();
        for length in 0..whole.len().min(200) {
            assert_eq!(not_after(&whole[..length]), None);
        }
        let mut bytes = whole.to_vec();
        for at in 0..bytes.len().min(300) {
            bytes[at] ^= 0xff;
            // Whatever it says, it does not panic.
            let _ = not_after(&bytes);
            bytes[at] ^= 0xff;
        }
        assert_eq!(time(UTC_TIME, "991332000000Z"), None);
        assert_eq!(time(UTC_TIME, "490101000000Z").unwrap().to_string(), "2049-01-01T00:00:00Z");
    }
}

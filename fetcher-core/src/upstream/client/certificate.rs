//! When a certificate ends.

use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// When a certificate in DER ends (RFC 5280, 4.1); none where it is none, or not as that asks for.
pub(super) fn not_after(der: &[u8]) -> Option<Timestamp> {
    let certificate = Certificate::from_der(der).ok()?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Timestamp::from_second(i64::try_from(end.as_secs()).ok()?).ok()
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
    }
}

use platform::random::SystemRandom;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::*;

const NOW: &str = "2026-01-01T00:00:00Z";

fn authority(days: i64) -> (ClusterAuthority, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2025, 12, 31);
    let end = NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days);
    let end = end.to_zoned(jiff::tz::TimeZone::UTC);
    params.not_after = rcgen::date_time_ymd(end.year().into(), end.month().cast_unsigned(), end.day().cast_unsigned());
    let certificate = params.self_signed(&key).unwrap();
    let year = Duration::from_hours(24 * 365);
    let authority = ClusterAuthority::new(&certificate.pem(), &key.serialize_pem(), year).unwrap();
    (authority, certificate.der().to_vec())
}

fn asked() -> CertificateRequest {
    let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::IpAddress([10, 0, 0, 1].into()));
    params.distinguished_name.push(DnType::OrganizationName, "team");
    params.distinguished_name.push(DnType::CommonName, "jane");
    let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    CertificateRequest::from_pem(request.pem().unwrap().as_bytes()).unwrap()
}

fn order<'a>(asked: &'a CertificateRequest, usages: &'a [String], expiration_seconds: Option<i32>) -> Order<'a> {
    Order { asked, usages, expiration_seconds, now: NOW.parse().unwrap() }
}

fn with_certificate<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let der = pem::blocks(pem).remove(0).data;
    look(&X509Certificate::from_der(&der).unwrap().1)
}

#[test]
fn certificates_say_what_was_asked_and_nothing_more() {
    let (authority, own) = authority(3650);
    let asked = asked();
    let usages = ["digital signature", "client auth", "server auth"].map(str::to_owned);
    let pem = authority.sign(&order(&asked, &usages, None), &SystemRandom).unwrap();
    let (_, own) = X509Certificate::from_der(&own).unwrap();
    with_certificate(&pem, |certificate| {
        certificate.verify_signature(Some(own.public_key())).unwrap();
        assert_eq!(certificate.issuer(), own.subject());
        assert_eq!(certificate.subject().as_raw(), asked.subject);
        assert_eq!(certificate.public_key().raw, asked.public_key);
        assert!(!certificate.is_ca());
        let usage = certificate.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.digital_signature() && !usage.value.key_cert_sign());
        let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.client_auth && purposes.server_auth && !purposes.any);
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(*names, [GeneralName::DNSName("a.example"), GeneralName::IPAddress(&[10, 0, 0, 1])]);
        assert!(!certificate.raw_serial().is_empty());
    });
}

#[test]
fn lives_are_as_long_as_asked_within_bounds() {
    let validity = |authority: &ClusterAuthority, seconds| {
        let asked = asked();
        let (from, to) = authority.validity(&order(&asked, &[], seconds)).unwrap();
        (from.to_string(), to.to_string())
    };
    let (long, _) = authority(3650);
    let from = "2025-12-31T23:55:00Z".to_owned();
    for (seconds, to) in [
        (None, "2026-12-31T23:55:00Z"),
        (Some(3600), "2026-01-01T01:00:00Z"),
        (Some(1), "2026-01-01T00:10:00Z"),
        (Some(86_400), "2026-01-01T23:55:00Z"),
        (Some(i32::MAX), "2026-12-31T23:55:00Z"),
    ] {
        assert_eq!(validity(&long, seconds), (from.clone(), to.to_owned()));
    }
    let (short, _) = authority(2);
    assert_eq!(validity(&short, None).1, "2026-01-03T00:00:00Z");
    let asked = asked();
    let late = Order { now: "2026-01-03T00:00:00Z".parse().unwrap(), ..order(&asked, &[], None) };
    assert!(matches!(short.sign(&late, &SystemRandom), Err(AuthorityError::Expired)));
}

#[test]
fn every_word_of_the_api_is_a_usage() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert!(der::Usages::parse(&words(&["any", "s/mime", "email protection", "decipher only"])).is_ok());
    assert_eq!(der::Usages::parse(&words(&["any", "odd"])), Err("odd".to_owned()));
}

//! Which certificates of a file are sent, and in which order.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;

/// Orders `der` as a chain that starts at `leaf`: each certificate is followed by its issuer, and a self-signed
/// root at the end is left out, as every client has its own (RFC 8446, section 4.4.2).
///
/// Gives the indices into `der`. The error is the index of a certificate that cannot be parsed.
pub fn order(der: &[CertificateDer<'_>], leaf: usize) -> Result<Vec<usize>, usize> {
    if der.len() == 1 {
        return Ok(vec![leaf]);
    }
    let parsed = der
        .iter()
        .enumerate()
        .map(|(index, der)| {
            parse_x509_certificate(der).map(|(_, parsed)| parsed).map_err(|_| index)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut chain = vec![leaf];
    let mut last = leaf;
    while !is_self_issued(&parsed[last]) {
        // In the order of the file, so that of two certificates of one issuer the operator's first is sent.
        let issuer = (0..der.len()).find(|candidate| {
            !chain.contains(candidate)
                && parsed[*candidate].subject().as_raw() == parsed[last].issuer().as_raw()
        });
        let Some(issuer) = issuer else { break };
        if is_self_issued(&parsed[issuer]) {
            break;
        }
        chain.push(issuer);
        last = issuer;
    }
    Ok(chain)
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

//! Keys in tokens: which `[hsm.NAME]` has them, and what else must fit to that.

use std::collections::BTreeMap;

use crate::config::certificate::TokenKey;
use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::hsm;
use crate::config::hsm::Hsm;
use crate::config::hsm::Member;
use crate::config::hsm::RawHsm;
use crate::config::pkcs11_uri::KeySelector;
use crate::config::raw::Named;
use crate::config::raw::Raw;
use crate::config::suggest;
use crate::config::units::DurationText;
use crate::names::HsmName;

/// All groups of tokens.
pub type Hsms = BTreeMap<HsmName, Named<RawHsm>>;

/// The group that has a key: the one that is named, whether it exists or not, or else the one with the token
/// of the URI, or the only one.
///
/// # Errors
///
/// All that it could be: none, or several.
pub fn group<'a>(key: &'a TokenKey, hsms: &'a Hsms) -> Result<&'a HsmName, Vec<&'a HsmName>> {
    if let Some(named) = &key.hsm {
        return Ok(&named.value);
    }
    let selector = &key.key.value;
    let may_have_it =
        |raw: &RawHsm| !names_a_token(selector) || members_of(selector, &raw.hsm).next().is_some();
    let groups = hsms.iter().filter(|(_, named)| named.content.as_deref().is_some_and(may_have_it));
    match groups.map(|(name, _)| name).collect::<Vec<_>>().as_slice() {
        [only] => Ok(only),
        others => Err(others.to_vec()),
    }
}

/// Checks the keys of all certificates, who uses them, and how long a signature may take.
pub fn check(raw: &Raw, complaints: &mut Complaints) {
    for hsm in raw.hsms.values() {
        check_sign_timeout(raw, hsm, complaints);
    }
    // What could not be read may be the group of a key.
    let is_whole = raw.hsms.values().all(|hsm| hsm.content.is_some());
    for certificate in raw.certificates.values().filter_map(|one| one.content.as_ref()) {
        let Some(key) = certificate.token_key() else { continue };
        match group(key, &raw.hsms) {
            Ok(name) => {
                if let Some(hsm) = raw.hsms.get(name) {
                    check_members(hsm, key, complaints);
                }
            }
            Err(groups) if is_whole => complaints.push(no_group(key, &groups, &raw.hsms)),
            Err(_) => {}
        }
    }
    check_pools(raw, complaints);
}

/// A handshake that has ended does not wait for a signature.
fn check_sign_timeout(raw: &Raw, hsm: &Named<RawHsm>, complaints: &mut Complaints) {
    let Some(content) = &hsm.content else { return };
    let (signature, handshake) = (content.hsm.sign_timeout, raw.timeouts.handshake);
    // A handshake that nobody speaks of may take longer than any signature.
    let Some(handshake_place) = raw.handshake_place.as_ref().filter(|_| signature >= handshake)
    else {
        return;
    };
    let name = &content.hsm.name;
    let message = format!("a signature of [hsm.{name}] may take as long as its whole handshake");
    let place = content.sign_timeout.as_ref().unwrap_or(&hsm.place);
    let complaint = Complaint::error(place.clone(), message)
        .label(format!("`sign_timeout` is {}", DurationText(signature)))
        .see(handshake_place.clone(), format!("`handshake` is {}", DurationText(handshake)))
        .note("the handshake would be given up before the group could say what is wrong")
        .help("shorten `sign_timeout`, or make `handshake` of [timeouts] longer");
    complaints.push(complaint);
}

/// A URI that names a token means a member of its group, and hardly one of several.
fn check_members(hsm: &Named<RawHsm>, key: &TokenKey, complaints: &mut Complaints) {
    let Some(content) = &hsm.content else { return };
    let selector = &key.key.value;
    if !names_a_token(selector) {
        return;
    }
    let (name, all) = (&content.hsm.name, &content.hsm.members);
    let meant: Vec<&Member> = members_of(selector, &content.hsm).collect();
    if meant.is_empty() {
        let message = format!("no member of [hsm.{name}] is {}", token_of(selector));
        let labels = all.iter().filter_map(|member| member.token.as_deref());
        let help = suggest::did_you_mean(selector.token.as_deref().unwrap_or_default(), labels);
        let help = help.unwrap_or_else(|| {
            format!("its members are {}; leave the token out for all of them", hsm::listed(all))
        });
        let complaint = Complaint::error(key.key.place.clone(), message);
        complaints.push(complaint.see(hsm.place.clone(), "this group").help(help));
    } else if meant.len() < all.len() {
        let meant = hsm::listed(meant.iter().copied());
        let message = format!("only {meant} of [hsm.{name}] signs with this key");
        let token = token_of(selector);
        let note = format!("the URI names {token}, so the other members do not stand in");
        let help = match &key.hsm {
            Some(_) => {
                "leave `token` and `serial` out of the URI: then all members sign".to_owned()
            }
            None => format!(
                "name the group in place of the token, with `hsm = \"{name}\"`: then all members sign"
            ),
        };
        complaints.push(Complaint::warning(key.key.place.clone(), message).note(note).help(help));
    }
}

/// Which group it is cannot be said: there are none, or several.
fn no_group(key: &TokenKey, groups: &[&HsmName], hsms: &Hsms) -> Complaint {
    let selector = &key.key.value;
    let place = key.key.place.clone();
    if hsms.is_empty() {
        let help = "add [hsm.prod] with the `module`, the `pin` and the `members`";
        return Complaint::error(place, "the key is in a token, and there is no [hsm.NAME]")
            .help(help);
    }
    if groups.is_empty() {
        let message = format!("no [hsm.NAME] has {} as a member", token_of(selector));
        let groups = these(&hsms.keys().collect::<Vec<_>>());
        let help = format!(
            "{groups}add it to one of them, or leave the token out and add `hsm = \"NAME\"`"
        );
        return Complaint::error(place, message).help(help);
    }
    let message = match names_a_token(selector) {
        true => format!("several groups have {} as a member", token_of(selector)),
        false => "nothing says which group of tokens has the key".to_owned(),
    };
    let help = format!("{}add `hsm = \"NAME\"`", these(groups));
    Complaint::error(place, message).help(help)
}

/// "the groups are `a` and `b`: ", if they are few.
fn these(groups: &[&HsmName]) -> String {
    let names: Vec<&str> = groups.iter().map(|name| name.as_str()).take(MOST_LISTED).collect();
    match groups.len() <= MOST_LISTED {
        true => format!("the groups are {}: ", suggest::listed(&names)),
        false => String::new(),
    }
}

fn check_pools(raw: &Raw, complaints: &mut Complaints) {
    for pool in raw.pools.values().filter_map(|pool| pool.content.as_ref()) {
        let named = pool.tls.good().and_then(|tls| tls.value.certificate.as_ref());
        let Some(named) = named else { continue };
        let certificate = raw.certificates.get(&named.value).and_then(|one| one.content.as_ref());
        let Some(key) = certificate.and_then(|certificate| certificate.token_key()) else {
            continue;
        };
        let message = format!("the key of the certificate `{}` is in a token", named.value);
        let complaint = Complaint::error(named.place.clone(), message)
            .label("a pool cannot use it")
            .see(key.key.place.clone(), "in a token")
            .note("keys in tokens serve virtual services only, so far")
            .help("name a certificate whose key is in a file");
        complaints.push(complaint);
    }
}

fn names_a_token(selector: &KeySelector) -> bool {
    selector.token.is_some() || selector.serial.is_some()
}

fn members_of<'a>(selector: &'a KeySelector, hsm: &'a Hsm) -> impl Iterator<Item = &'a Member> {
    let (token, serial) = (selector.token.as_deref(), selector.serial.as_deref());
    hsm.members.iter().filter(move |member| member.may_be(token, serial))
}

/// How messages call the token of a selector that names one.
fn token_of(selector: &KeySelector) -> String {
    let serial = selector.serial.as_deref().unwrap_or_default();
    match &selector.token {
        Some(token) => format!("the token `{token}`"),
        None => format!("the token with the serial number `{serial}`"),
    }
}

/// More names than these say nothing at a glance.
const MOST_LISTED: usize = 8;

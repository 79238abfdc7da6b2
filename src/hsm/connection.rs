//! One session with a token: connect, log in, find a key and have it prove itself, sign.
//!
//! A thread owns it; nothing here is shared. A handle of a key is kept only after a signature that
//! verifies with the certificate's public key: that one rule is the check at the start, the check that
//! a member is a replica, and the check that nobody swapped the token while it was away.

use std::collections::HashMap;
use std::mem;
use std::sync::PoisonError;

use aws_lc_rs::rand;
use cryptoki::context::Pkcs11;
use cryptoki::object::Attribute;
use cryptoki::object::AttributeType;
use cryptoki::object::ObjectClass;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::session::SessionState;
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::slot::TokenInfo;
use cryptoki::types::RawAuthPin;
use rustls::SignatureScheme;

use crate::config::hsm::Member;
use crate::config::pkcs11_uri::KeySelector;
use crate::config::process::WorldReadableKeys;
use crate::hsm::key::TokenKey;
use crate::hsm::module::Alive;
use crate::hsm::module::Module;
use crate::hsm::scheme;
use crate::hsm::scheme::Way;
use crate::hsm::scheme::Ways;
use crate::hsm::trouble::Trouble;
use crate::key::Algorithm;
use crate::key::secret::read_secret;

/// A session that is logged in. Fields are dropped in their order: the session before the right to be
/// in the module.
#[derive(Debug)]
pub struct Connection {
    session: Session,
    token: TokenInfo,
    slot: Slot,
    login_required: bool,
    ways: Ways,
    handles: HashMap<u64, ObjectHandle>,
    _alive: Alive,
}

impl Connection {
    /// Opens a session with a member's token and logs in.
    ///
    /// # Errors
    /// What keeps it from that; a PIN that was refused once is not tried again.
    pub fn open(member: &Member, policy: WorldReadableKeys) -> Result<Self, Trouble> {
        Self::open_as(member, policy, Access::Read)
    }

    /// As [`open`](Self::open), to make and delete keys too.
    ///
    /// # Errors
    /// As there.
    pub fn open_to_write(member: &Member, policy: WorldReadableKeys) -> Result<Self, Trouble> {
        Self::open_as(member, policy, Access::Write)
    }

    fn open_as(
        member: &Member,
        policy: WorldReadableKeys,
        access: Access,
    ) -> Result<Self, Trouble> {
        let alive = Module::load(&member.module)?.enter()?;
        let context = alive.module().context();
        let (slot, token) = find_token(context, member)?;
        let session = open_session(context, slot, access)?;
        let login_required = token.login_required();
        if login_required {
            log_in(&session, alive.module(), &token, (member, policy))?;
        }
        let ways = ways_of(context, slot);
        let handles = HashMap::new();
        Ok(Self { session, token, slot, login_required, ways, handles, _alive: alive })
    }

    /// How this token can sign.
    pub fn ways(&self) -> Ways {
        self.ways
    }

    /// What the token says of itself.
    pub fn token(&self) -> &TokenInfo {
        &self.token
    }

    /// Where the token is now.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// For what is not signing: listing, making and deleting keys.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Asks whether the session is still good; it also keeps firewalls from forgetting it.
    ///
    /// # Errors
    /// The session is lost, or its login is.
    pub fn check(&self) -> Result<(), Trouble> {
        let info = self.session.get_session_info().map_err(|error| Trouble::of_call(&error))?;
        let logged_in = matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser);
        if self.login_required && !logged_in {
            let (code, function) = ("user_not_logged_in".to_owned(), "GetSessionInfo".to_owned());
            return Err(Trouble::Call { code, function });
        }
        Ok(())
    }

    /// Signs with a key, which proves itself first if this session does not know it yet.
    ///
    /// # Errors
    /// The key's fault or the session's; see [`Trouble::class`].
    pub fn sign(
        &mut self,
        key: &TokenKey,
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, Trouble> {
        let handle = match self.handles.get(&key.id) {
            Some(handle) => *handle,
            None => self.prove(key)?,
        };
        self.sign_with(handle, scheme, message)
    }

    /// Looks for a key anew and has it sign something that nobody could know before.
    ///
    /// # Errors
    /// It is not there, there are several, or it is not the certificate's.
    pub fn prove(&mut self, key: &TokenKey) -> Result<ObjectHandle, Trouble> {
        self.handles.remove(&key.id);
        let handle = self.find(&key.selector)?;
        let scheme = self.scheme_of(key.algorithm)?;
        let mut challenge = [0; 32];
        rand::fill(&mut challenge).map_err(|_| Trouble::of_system("no_random_bytes"))?;
        let signature = self.sign_with(handle, scheme, &challenge)?;
        if !key.verifies(scheme, &challenge, &signature) {
            return Err(Trouble::KeyMismatch);
        }
        self.handles.insert(key.id, handle);
        Ok(handle)
    }

    /// The scheme in which the token signs with keys of a kind, the best of those that it has.
    ///
    /// # Errors
    /// [`Trouble::MechanismMissing`].
    pub fn scheme_of(&self, algorithm: Algorithm) -> Result<SignatureScheme, Trouble> {
        let mut usable = scheme::schemes_of(algorithm).iter().copied();
        usable
            .find(|scheme| Way::of(*scheme).is_some_and(|way| self.ways.has(way)))
            .ok_or(Trouble::MechanismMissing)
    }

    /// Forgets keys that are gone.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.handles.retain(|id, _| keep(*id));
    }

    fn sign_with(
        &self,
        handle: ObjectHandle,
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, Trouble> {
        let (mechanism, data) = scheme::raw(scheme, message).ok_or(Trouble::MechanismMissing)?;
        let raw = self.session.sign(&mechanism, handle, &data);
        let raw = raw.map_err(|error| Trouble::of_signing(&error))?;
        scheme::encoded(scheme, raw).ok_or(Trouble::KeyMismatch)
    }

    /// The one private key that is meant.
    ///
    /// # Errors
    /// It is not there, there are several, or it wants its PIN each time.
    pub fn find(&self, selector: &KeySelector) -> Result<ObjectHandle, Trouble> {
        let found = self.matching(selector)?;
        match found[..] {
            [] => Err(Trouble::KeyMissing),
            [handle] if self.always_authenticates(handle) => Err(Trouble::KeyAlwaysAuthenticates),
            [handle] => Ok(handle),
            _ => Err(Trouble::KeyAmbiguous { count: found.len() }),
        }
    }

    /// All private keys that may be meant.
    ///
    /// # Errors
    /// The token cannot be asked.
    pub fn matching(&self, selector: &KeySelector) -> Result<Vec<ObjectHandle>, Trouble> {
        let is = |asked: &Option<String>, known: &str| {
            asked.as_deref().is_none_or(|asked| asked == known)
        };
        let is_here = is(&selector.token, self.token.label())
            && is(&selector.serial, self.token.serial_number())
            && is(&selector.manufacturer, self.token.manufacturer_id())
            && is(&selector.model, self.token.model());
        if !is_here {
            return Ok(Vec::new());
        }
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        template.extend(selector.id.clone().map(Attribute::Id));
        template.extend(selector.label.clone().map(|label| Attribute::Label(label.into_bytes())));
        self.session.find_objects(&template).map_err(|error| Trouble::of_call(&error))
    }

    /// Whether a key wants its PIN before every signature.
    pub fn always_authenticates(&self, handle: ObjectHandle) -> bool {
        let asked = [AttributeType::AlwaysAuthenticate];
        // A token that does not know the attribute does not do it either.
        let said = self.session.get_attributes(handle, &asked).unwrap_or_default();
        said.iter().any(|attribute| matches!(attribute, Attribute::AlwaysAuthenticate(true)))
    }
}

/// The token that a member names, among those that are there.
fn find_token(context: &Pkcs11, member: &Member) -> Result<(Slot, TokenInfo), Trouble> {
    let slots = context.get_slots_with_token().map_err(|error| Trouble::of_call(&error))?;
    // One that cannot be asked is as good as absent.
    let tokens =
        slots.into_iter().filter_map(|slot| Some((slot, context.get_token_info(slot).ok()?)));
    let is =
        |asked: &Option<String>, known: &str| asked.as_deref().is_none_or(|asked| asked == known);
    let mut found: Vec<_> = tokens
        .filter(|(_, token)| {
            is(&member.token, token.label()) && is(&member.serial, token.serial_number())
        })
        .collect();
    match found.len() {
        0 => Err(Trouble::TokenAbsent),
        1 => Ok(found.remove(0)),
        count => Err(Trouble::TokenAmbiguous { count }),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Access {
    Read,
    Write,
}

/// Read-only where that will do, and where there is such a thing: some tokens have only the other.
fn open_session(context: &Pkcs11, slot: Slot, access: Access) -> Result<Session, Trouble> {
    let session = match access {
        Access::Read => context.open_ro_session(slot).or_else(|_| context.open_rw_session(slot)),
        Access::Write => context.open_rw_session(slot),
    };
    session.map_err(|error| Trouble::of_call(&error))
}

/// Logs in, unless this PIN was refused before: three wrong ones lock most tokens, and a proxy with
/// many sessions would have tried them in a millisecond.
fn log_in(
    session: &Session,
    module: &Module,
    token: &TokenInfo,
    (member, policy): (&Member, WorldReadableKeys),
) -> Result<(), Trouble> {
    if token.user_pin_locked() {
        return Err(Trouble::PinRefused { code: "pin_locked".to_owned() });
    }
    let login = module.login(token.serial_number());
    // Held while the token looks at the PIN: the others wait for its verdict.
    let mut login = login.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pin = read_secret(&member.pin, policy)?;
    let mark = module.mark_of(&pin);
    if login.was_refused(mark) {
        return Err(Trouble::PinRefused { code: "pin_incorrect".to_owned() });
    }
    // Not copied, and wiped when it is dropped.
    let pin = RawAuthPin::new(Box::new(mem::take(&mut *pin)));
    let Err(error) = session.login_with_raw(UserType::User, &pin) else {
        return Ok(());
    };
    match Trouble::of_login(&error) {
        None => Ok(()),
        Some(trouble) => {
            if matches!(trouble, Trouble::PinRefused { .. }) {
                login.refuse(mark);
            }
            Err(trouble)
        }
    }
}

fn ways_of(context: &Pkcs11, slot: Slot) -> Ways {
    // Some tokens describe a mechanism that they do not list, and then refuse it.
    let listed = context.get_mechanism_list(slot).unwrap_or_default();
    let can = |way: &Way| {
        let mechanism = way.mechanism();
        listed.contains(&mechanism)
            && context.get_mechanism_info(slot, mechanism).is_ok_and(|info| info.sign())
    };
    Way::ALL.into_iter().filter(can).fold(Ways::default(), Ways::with)
}

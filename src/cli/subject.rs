//! The flags that say whom a certificate or a request is for (SPEC CERT-5).

use crate::certificate::subject::AltName;
use crate::certificate::subject::Subject;

/// The subject.
#[derive(Debug, clap::Args)]
pub struct SubjectArguments {
    /// The common name: the first name of the site. A domain name or an address is among the alternative names too.
    #[arg(long, visible_alias = "subject", value_name = "NAME")]
    common_name: String,
    /// Another domain name, such as `*.shop.example.com`, or an address; may be given again.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<AltName>,
    /// The organization.
    #[arg(long, value_name = "TEXT")]
    organization: Option<String>,
    /// The part of the organization.
    #[arg(long, value_name = "TEXT")]
    organizational_unit: Option<String>,
    /// The country in two letters, such as DE.
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// The state or province.
    #[arg(long, value_name = "TEXT")]
    state: Option<String>,
    /// The city.
    #[arg(long, value_name = "TEXT")]
    locality: Option<String>,
    /// An e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
}

impl SubjectArguments {
    /// What was said, checked. Warns where no client would look at it.
    ///
    /// # Errors
    /// A word that cannot stand in a subject.
    pub fn subject(self) -> anyhow::Result<Subject> {
        let subject = Subject {
            common_name: self.common_name,
            organization: self.organization,
            organizational_unit: self.organizational_unit,
            country: self.country,
            state: self.state,
            locality: self.locality,
            email: self.email,
            names: self.names,
        };
        subject.parameters()?;
        if subject.alt_names().is_empty() {
            eprintln!(
                "warning: `{}` is no domain name, and clients compare nothing else; add --name",
                subject.common_name
            );
        }
        Ok(subject)
    }
}

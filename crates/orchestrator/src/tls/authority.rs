//! The certificate authority, asked by ACME (RFC 8555): one order for one name, from the account to the certificate.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use preview_core::causes::with_causes;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::answers::{Answers, Given};
use super::name::CertName;
use super::store::Store;
use super::transport::Transport;
use super::zone::{Record, Zones};

/// How long the authority is waited for, until it has looked and until it has signed.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));
/// What an authority says that doesn't know our account any more.
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// How the authority is shown whose a name is.
#[derive(Debug)]
pub(super) enum Proof {
    /// By an answer on port 80.
    Answer(Answers),
    /// By a record, which others see after this time.
    Record(Zones, Duration),
}

/// What was given for the authority to look at, until it has.
enum Shown {
    Answer(#[expect(dead_code, reason = "it is taken back when dropped")] Given),
    Record(Record),
}

/// Why there is no certificate.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) cause: Cause,
    /// How long the authority asked us to wait, if it did.
    pub(super) wait: Option<Duration>,
}

/// What was in the way.
#[derive(Debug)]
pub(super) struct Cause {
    /// In a sentence.
    pub(super) told: String,
    /// The last word of the error type by which the authority told it (RFC 8555, section 6.7).
    pub(super) problem: Option<String>,
}

impl Cause {
    /// What the authority says.
    fn said(what: &str, problem: &Problem) -> Self {
        let kind = problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()).unwrap_or("unknown");
        let detail = problem.detail.as_deref().unwrap_or("no reason given");
        Self { told: format!("{what} ({kind}): {detail}"), problem: Some(kind.to_owned()) }
    }
}

impl From<String> for Cause {
    fn from(told: String) -> Self {
        Self { told, problem: None }
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        match &error {
            Error::Api(problem) => Self::said("the authority refused", problem),
            error => format!("the authority does not answer as it should: {}", with_causes(error)).into(),
        }
    }
}

/// An authority, and our account there.
pub(super) struct Authority {
    directory: String,
    email: Option<String>,
    transport: Transport,
    store: Arc<Store>,
    proof: Proof,
    account: Mutex<Option<Account>>,
}

impl Authority {
    pub(super) fn new(
        directory: String,
        email: Option<String>,
        transport: Transport,
        store: Arc<Store>,
        proof: Proof,
    ) -> Self {
        Self { directory, email, transport, store, proof, account: Mutex::default() }
    }

    /// Gets a certificate: key and chain in one text.
    pub(super) async fn certificate(&self, name: &CertName) -> Result<SecretString, Refused> {
        let got = self.got(name).await;
        let asked = self.transport.asked_to_wait();
        got.map_err(|cause| Refused { cause, wait: asked })
    }

    async fn got(&self, name: &CertName) -> Result<SecretString, Cause> {
        let identifiers = [Identifier::Dns(name.to_string())];
        let order = NewOrder::new(&identifiers);
        let account = self.account().await?;
        let mut order = match account.new_order(&order).await {
            Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT) => {
                tracing::warn!(directory = self.directory, "the authority has forgotten our account; making a new one");
                self.forget().await?;
                self.account().await?.new_order(&order).await?
            }
            order => order?,
        };
        tracing::info!(%name, "a certificate is ordered");
        let mut shown = Vec::new();
        let signed = self.prove_and_sign(&mut order, name, &mut shown).await;
        self.take_back(shown).await;
        signed
    }

    async fn prove_and_sign(
        &self,
        order: &mut Order,
        name: &CertName,
        shown: &mut Vec<Shown>,
    ) -> Result<SecretString, Cause> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending => self.prove(&mut authorization, name, shown).await?,
                status => return Err(format!("the authority's authorization for {name} is {status:?}").into()),
            }
        }
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => sign(order, name).await,
            Ok(_) | Err(Error::Api(_)) => Err(why_not(order).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Shows the authority whose the name is, and asks it to look.
    async fn prove<'a>(
        &self,
        authorization: &'a mut AuthorizationHandle<'a>,
        name: &CertName,
        shown: &mut Vec<Shown>,
    ) -> Result<(), Cause> {
        let kind = match self.proof {
            Proof::Answer(_) => ChallengeType::Http01,
            Proof::Record(..) => ChallengeType::Dns01,
        };
        let offered = authorization.challenge(kind);
        let mut challenge =
            offered.ok_or_else(|| "the authority does not offer the challenge that ACME_CHALLENGE names".to_owned())?;
        shown.push(self.show(&challenge, name).await?);
        Ok(challenge.set_ready().await?)
    }

    async fn show(&self, challenge: &ChallengeHandle<'_>, name: &CertName) -> Result<Shown, Cause> {
        let key = challenge.key_authorization();
        match &self.proof {
            Proof::Answer(answers) => Ok(Shown::Answer(answers.give(&challenge.token, key.as_str()))),
            Proof::Record(zones, settles) => {
                let record = zones.add(name.base(), &key.dns_value()).await?;
                tokio::time::sleep(*settles).await;
                Ok(Shown::Record(record))
            }
        }
    }

    /// What fails here costs nothing but order in the zone.
    async fn take_back(&self, shown: Vec<Shown>) {
        for shown in shown {
            if let (Shown::Record(record), Proof::Record(zones, _)) = (shown, &self.proof)
                && let Err(error) = zones.remove(record.clone()).await
            {
                tracing::warn!(error, ?record, "a record for the authority could not be deleted");
            }
        }
    }

    /// Our account: the one that is kept, or a new one.
    async fn account(&self) -> Result<Account, Cause> {
        let mut account = self.account.lock().await;
        if let Some(account) = account.as_ref() {
            return Ok(account.clone());
        }
        let unkept = |error: std::io::Error| format!("the account with the authority can't be kept: {error}");
        let builder = Account::builder_with_http(Box::new(self.transport.clone()));
        let found = match self.store.account().map_err(unkept)? {
            Some(kept) => builder.from_credentials(kept).await?,
            None => {
                let contact = self.email.as_ref().map(|email| format!("mailto:{email}"));
                let contact: Vec<&str> = contact.as_deref().into_iter().collect();
                let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
                let (made, credentials) = builder.create(&new, self.directory.clone(), None).await?;
                self.store.keep_account(&credentials).map_err(unkept)?;
                made
            }
        };
        *account = Some(found.clone());
        Ok(found)
    }

    async fn forget(&self) -> Result<(), Cause> {
        *self.account.lock().await = None;
        Ok(self.store.forget_account().map_err(|error| format!("the account could not be forgotten: {error}"))?)
    }
}

/// Has a key of its own signed: each certificate gets a new one.
async fn sign(order: &mut Order, name: &CertName) -> Result<SecretString, Cause> {
    let odd = |error: rcgen::Error| format!("no request for a certificate can be made: {error}");
    let mut params = CertificateParams::new(vec![name.to_string()]).map_err(odd)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().map_err(odd)?;
    let request = params.serialize_request(&key).map_err(odd)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{}{chain}", key.serialize_pem()).into())
}

/// What the authority found wrong when it looked.
async fn why_not(order: &mut Order) -> Cause {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let found = authorization.refresh().await.ok().and_then(|state| {
            let failed = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
            failed.map(|problem| Cause::said("the authority was not convinced", problem))
        });
        if let Some(cause) = found {
            return cause;
        }
    }
    "the authority was not convinced, and doesn't say why".to_owned().into()
}

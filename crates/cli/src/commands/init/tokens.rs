//! The tokens: each that is given, kept or asked for has to be taken by the service that it is for.

use preview_core::ids::RepoName;
use preview_orchestrator::settings::BaseUrl;
use secrecy::{ExposeSecret, SecretString};

use super::{Init, Tokens};
use crate::error::{Failure, Kind};
use crate::installation::Config;
use crate::installation::secrets::{SecretName, Secrets, checked};
use crate::provision::ready::{github_api, wants_webhooks};
use crate::provision::{identity, webhooks};
use crate::ui;

impl Init {
    /// Checks what GitHub says of the repositories; where the server's token may not manage webhooks, another one does.
    pub(super) async fn github(&self, config: &Config, secrets: &Secrets, tokens: &mut Tokens) -> Result<(), Failure> {
        let api = github_api(&config.settings)?;
        let app = ui::waiting("asking GitHub", identity::app_token(config)).await?;
        let is_app = app.is_some();
        let look = async |token: &SecretString| look(&api, token, &config.repositories).await;
        let client = match app {
            Some(token) => look(&token).await?,
            None => self.token_that_works(SecretName::GitHub, secrets, tokens, look).await?,
        };
        if !wants_webhooks(config) {
            return Ok(());
        }
        let own = match secrets.get(SecretName::Hooks).await? {
            // An App's tokens are the server's. One that is given beside it is for nothing else.
            None if is_app => match secrets.get(SecretName::GitHub).await? {
                Some(token) => Some(token),
                None => Some(self.ask(SecretName::Hooks)?),
            },
            own => own,
        };
        let manages = match &own {
            Some(token) => webhooks::Client::new(api.clone(), token)?,
            None => client,
        };
        let looked = may_manage(&manages, &config.repositories);
        let Err(refusal) = ui::waiting("asking GitHub", looked).await else {
            tokens.extend(own.map(|token| (SecretName::Hooks, token)));
            return Ok(());
        };
        if own.is_some() {
            self.may_ask_again(SecretName::Hooks, secrets, refusal)?;
        } else if self.flags.asking.can_ask() {
            ui::note(
                "the server's token may not manage webhooks, as it should be: another one may, which stays on this machine",
            );
        } else {
            return Err(refusal);
        }
        let token = self.ask(SecretName::Hooks)?;
        let client = webhooks::Client::new(api, &token)?;
        ui::waiting("asking GitHub", may_manage(&client, &config.repositories)).await?;
        tokens.insert(SecretName::Hooks, token);
        Ok(())
    }

    /// What a service answers to a token. One that is kept may have expired: then another is asked for.
    pub(super) async fn token_that_works<T>(
        &self,
        name: SecretName,
        secrets: &Secrets,
        tokens: &mut Tokens,
        ask: impl AsyncFn(&SecretString) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match ask(&self.token(name, secrets, tokens).await?).await {
            Err(refusal) => self.may_ask_again(name, secrets, refusal)?,
            answer => return answer,
        }
        let token = self.ask(name)?;
        let answer = ask(&token).await?;
        tokens.insert(name, token);
        Ok(answer)
    }

    /// Whether another token can be asked for in place of one that is not taken; else that is the end.
    fn may_ask_again(&self, name: SecretName, secrets: &Secrets, refusal: Failure) -> Result<(), Failure> {
        if refusal.kind != Kind::Token || secrets.is_given(name) {
            return Err(refusal);
        }
        if !self.flags.asking.can_ask() {
            let hint = format!("`{}=… preview init` takes it in place of the one that is kept", name.variable());
            return Err(refusal.hint(hint));
        }
        ui::note(format!("{} is wrong, or has expired: {}", name.what(), refusal.what));
        Ok(())
    }

    /// A token that was given or kept, else asked for.
    pub(super) async fn token(
        &self,
        name: SecretName,
        secrets: &Secrets,
        tokens: &mut Tokens,
    ) -> Result<SecretString, Failure> {
        let token = match secrets.get(name).await? {
            Some(token) => token,
            None => self.ask(name)?,
        };
        tokens.insert(name, token.clone());
        Ok(token)
    }

    fn ask(&self, name: SecretName) -> Result<SecretString, Failure> {
        let flag = format!("the environment variable {}", name.variable());
        let mut question = name.what().to_owned();
        question[..1].make_ascii_uppercase();
        match self.flags.asking.secret(&question, &flag)? {
            Some(token) => checked(name, token.expose_secret()),
            None => Err(Failure::new(format!("{} was not given", name.what())).kind(Kind::Settings)),
        }
    }
}

async fn may_manage(client: &webhooks::Client, repositories: &[RepoName]) -> Result<(), Failure> {
    for repo in repositories {
        client.may_manage(repo).await?;
    }
    Ok(())
}

/// Shows what the token sees of the repositories.
async fn look(api: &BaseUrl, token: &SecretString, repositories: &[RepoName]) -> Result<webhooks::Client, Failure> {
    let client = webhooks::Client::new(api.clone(), token)?;
    for repo in repositories {
        let found = ui::waiting("asking GitHub", client.repository(repo)).await?;
        let kind = if found.private { "private" } else { "public" };
        ui::note(format!("GitHub: {} ({kind})", found.full_name));
    }
    Ok(client)
}

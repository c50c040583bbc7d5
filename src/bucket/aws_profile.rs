//! The profile of AWS's own tools: credentials, region and endpoint from `~/.aws`, where the environment has none.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use object_store::aws::AmazonS3Builder;

use crate::bucket::bucket_url::BucketUrl;
use crate::bucket::error::BucketError;
use crate::durable_fs;

/// Maximum bytes of a configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The profile without `AWS_PROFILE`.
const DEFAULT_PROFILE: &str = "default";

/// The region without any setting, as in the SDKs.
const DEFAULT_REGION: &str = "us-east-1";

/// Settings that name a service or a program to get credentials from.
const INDIRECT: [&str; 5] = [
    "role_arn",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "login_session",
];

/// A profile: its settings by name.
type Profile = BTreeMap<String, String>;

/// What the environment lacks, from a profile.
#[derive(Default)]
pub(crate) struct AwsSettings {
    /// Key ID, secret, and session token if there is one.
    keys: Option<(String, String, Option<String>)>,
    region: Option<String>,
    endpoint: Option<String>,
}

impl AwsSettings {
    /// Reads the profile that `AWS_PROFILE` names. Variables come before it, as in AWS's own tools.
    pub(crate) fn read(url: &BucketUrl) -> Result<Self, BucketError> {
        let chosen = variable("AWS_PROFILE");
        let name = chosen.as_deref().unwrap_or(DEFAULT_PROFILE);
        let refused = |cause: String, hint| BucketError::Configuration {
            url: url.to_string(),
            cause,
            hint,
        };
        let file = |name: &str, default: &str| {
            let path = variable(name).map(PathBuf::from);
            let path = path.or_else(|| Some(env::home_dir()?.join(".aws").join(default)));
            let text = path.and_then(|path| durable_fs::read_small(&path, MAX_FILE_BYTES).ok());
            String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
        };
        let config = file("AWS_CONFIG_FILE", "config");
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let mut profile = section(&config, &[&format!("profile {name}"), name]);
        profile.extend(section(&credentials, &[name]));
        if profile.is_empty() && chosen.is_some() {
            return Err(refused(
                format!("the profile `{name}` is missing"),
                "check AWS_PROFILE and the files in ~/.aws",
            ));
        }
        let settings = Self::of_profile(&profile);
        let has_keys = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"]
            .iter()
            .any(|name| variable(name).is_some());
        let settings = settings.below_environment(has_keys);
        let is_indirect = |profile: &Profile| INDIRECT.iter().any(|it| profile.contains_key(*it));
        if !has_keys && settings.keys.is_none() && is_indirect(&profile) {
            return Err(refused(
                format!("profile `{name}` names a role, a login or a program instead of keys"),
                "run: eval \"$(aws configure export-credentials --format env)\"",
            ));
        }
        Ok(settings)
    }

    fn of_profile(profile: &Profile) -> Self {
        let get = |name: &str| profile.get(name).cloned();
        let id = get("aws_access_key_id").zip(get("aws_secret_access_key"));
        Self {
            keys: id.map(|(id, secret)| (id, secret, get("aws_session_token"))),
            region: get("region"),
            endpoint: get("endpoint_url"),
        }
    }

    /// Without what the environment has.
    fn below_environment(mut self, has_keys: bool) -> Self {
        let any = |names: &[&str]| names.iter().any(|name| variable(name).is_some());
        if has_keys {
            self.keys = None;
        }
        if any(&["AWS_REGION", "AWS_DEFAULT_REGION"]) {
            self.region = None;
        } else if self.region.is_none() {
            self.region = Some(DEFAULT_REGION.to_owned());
        }
        if any(&["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"]) {
            self.endpoint = None;
        }
        self
    }

    /// Adds the settings to those of the environment.
    pub(crate) fn apply(self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
        if let Some((id, secret, token)) = self.keys {
            builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(secret);
            if let Some(token) = token {
                builder = builder.with_token(token);
            }
        }
        if let Some(region) = self.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        builder
    }
}

/// The value of a variable, if it is not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The settings of the first section with one of these names. Indented lines belong to the setting before them.
fn section(text: &str, names: &[&str]) -> Profile {
    let mut found = Profile::new();
    let mut is_inside = false;
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            is_inside = names.contains(&name.0.trim());
        } else if let Some((name, value)) = line.split_once('=')
            && is_inside
            && !is_nested
            && !line.starts_with(['#', ';'])
        {
            found.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_settings_of_its_section() {
        let text = "[default]\nregion = a\n[profile work]\nregion=eu-west-1\n# region = x\ns3 =\n  region = nested\nendpoint_url = http://localhost:9\n[other]\nregion = b\n";
        let profile = section(text, &["profile work", "work"]);
        let settings = AwsSettings::of_profile(&profile);
        assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
        assert_eq!(settings.endpoint.as_deref(), Some("http://localhost:9"));
        assert!(settings.keys.is_none());
        assert!(section(text, &["missing"]).is_empty());
    }

    #[test]
    fn keys_need_both_of_their_parts() {
        let keys = |text: &str| AwsSettings::of_profile(&section(text, &["a"])).keys;
        assert_eq!(keys("[a]\naws_access_key_id = 1\n"), None);
        let text = "[a]\naws_access_key_id = 1\nAWS_SECRET_ACCESS_KEY = 2\n";
        assert_eq!(keys(text), Some(("1".to_owned(), "2".to_owned(), None)));
    }
}

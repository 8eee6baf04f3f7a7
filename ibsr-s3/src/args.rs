// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flags that say which S3 to talk to, and the client made from them.
//!
//! Credentials never pass through a flag: they come from the standard chain (environment,
//! profile, assumed role, web identity, container, instance).

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::ProvideCredentials as _;
use clap::Args;
use ibsr_cli::parse_duration;

use crate::problem::{S3Problem, explain_credentials};
use crate::retry::Backoff;

/// A connection that is not there after this long will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// In the order in which the SDK looks at them.
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
/// Used where nothing names a region: S3-compatible servers accept any, and AWS names the
/// right one in its answer, which then stands in the error.
const FALLBACK_REGION: &str = "us-east-1";

/// The S3 flags, flattened into each program's command line.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "S3")]
pub struct S3Args {
    /// Talk to this server instead of AWS, for example a MinIO of your own
    ///
    /// Default: AWS, or what AWS_ENDPOINT_URL_S3 or the profile says.
    #[arg(long, value_name = "URL", env = "IBSR_ENDPOINT_URL")]
    pub endpoint_url: Option<String>,

    /// Put the bucket into the path instead of the host name
    ///
    /// Most S3 servers other than AWS need it. Default: off.
    #[arg(
        long,
        env = "IBSR_FORCE_PATH_STYLE",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub force_path_style: bool,

    /// Region of the bucket
    ///
    /// Default: AWS_REGION, the profile, on AWS the instance, else us-east-1.
    #[arg(long, value_name = "REGION", env = "IBSR_REGION")]
    pub region: Option<String>,

    /// Profile of ~/.aws/config to take credentials and settings from
    ///
    /// Default: AWS_PROFILE, else `default`.
    #[arg(long, value_name = "NAME", env = "IBSR_PROFILE")]
    pub profile: Option<String>,

    /// Give up on a request that makes no progress for this long
    ///
    /// Time for the transfer itself comes on top, by size. A request that was given up is
    /// tried again, see --retries.
    #[arg(
        long,
        value_name = "DURATION",
        env = "IBSR_S3_TIMEOUT",
        default_value = "30s",
        value_parser = parse_duration
    )]
    pub timeout: Duration,

    /// Try a request that failed for the moment this many times more
    ///
    /// Waits grow from 250ms to 20s, each drawn at random below that. 0 = never.
    #[arg(
        long,
        value_name = "COUNT",
        env = "IBSR_S3_RETRIES",
        default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(..=20)
    )]
    pub retries: u32,
}

impl S3Args {
    /// The client. Reads the environment and the profile files; sends nothing, except to the
    /// instance's metadata service when no region is configured.
    pub async fn client(&self) -> Client {
        let config = self.sdk_config().await;
        Client::from_conf(
            aws_sdk_s3::config::Builder::from(&config)
                .force_path_style(self.force_path_style)
                .build(),
        )
    }

    /// Asks the credential chain once, so that its absence is one line at the start and not
    /// one per object.
    ///
    /// # Errors
    /// [`S3Problem::NoCredentials`], or what the provider met.
    pub async fn check_credentials(&self) -> Result<(), S3Problem> {
        let config = self.sdk_config().await;
        let provider = config.credentials_provider().ok_or_else(S3Problem::no_credentials)?;
        provider.provide_credentials().await.map(drop).map_err(|error| explain_credentials(&error))
    }

    /// What tells servers apart: the flag or its twins in the environment, else AWS.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let from_env = || ENDPOINT_VARIABLES.iter().find_map(|name| std::env::var(name).ok());
        self.endpoint_url.clone().or_else(from_env).unwrap_or_else(|| "aws".to_owned())
    }

    /// The schedule that [`Self::retries`] asks for.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        Backoff::new(self.retries)
    }

    async fn sdk_config(&self) -> SdkConfig {
        let stall = StalledStreamProtectionConfig::enabled().grace_period(self.timeout).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(self.timeout))
            .stalled_stream_protection(stall);
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        loader.region(self.region_chain()).load().await
    }

    /// The instance's metadata is asked only for AWS: elsewhere nobody answers there, which
    /// would take seconds to find out.
    fn region_chain(&self) -> RegionProviderChain {
        let named = RegionProviderChain::first_try(self.region.clone().map(Region::new));
        let profile = self.profile.as_deref();
        let here = named
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(profile_region(profile));
        match &self.endpoint_url {
            Some(_) => here.or_else(FALLBACK_REGION),
            None => here.or_else(ImdsRegionProvider::builder().build()).or_else(FALLBACK_REGION),
        }
    }
}

fn profile_region(profile: Option<&str>) -> ProfileFileRegionProvider {
    let builder = ProfileFileRegionProvider::builder();
    match profile {
        Some(name) => builder.profile_name(name).build(),
        None => builder.build(),
    }
}

/// Bounds on one attempt of a request that carries little data.
fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(attempt.min(CONNECT_TIMEOUT))
        .operation_attempt_timeout(attempt)
        .build()
}

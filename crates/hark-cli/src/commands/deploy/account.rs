//! The AWS account that a project is deployed to.

use std::time::Duration;

use hark_backends::aws::{Aws, AwsError, AwsSettings, Buckets, CloudFormation, account_number};

use crate::failure::Failure;
use crate::place::quoted;
use crate::project::Project;

/// How long one try of a call may take.
const TRY_TIME_MAX: Duration = Duration::from_secs(30);

/// An account, and the region in it.
pub struct Account {
    /// The account itself.
    pub aws: Aws,
    /// Its stacks.
    pub stacks: CloudFormation,
    /// Its buckets.
    pub buckets: Buckets,
    /// The region.
    pub region: String,
    /// The profile that the project's settings name.
    profile: Option<String>,
}

impl Account {
    /// The account that a project's settings and the environment select.
    ///
    /// # Errors
    /// If they name no region.
    pub fn of(project: &Project) -> Result<Account, Failure> {
        let settings = &project.settings.dynamodb;
        let aws = Aws::new(AwsSettings {
            region: settings.region.clone(),
            profile: settings.profile.clone(),
            try_time_max: TRY_TIME_MAX,
        });
        let region = aws.region().map_err(failure)?.ok_or_else(|| {
            Failure::usage("no AWS region is set").with_hint("set AWS_REGION, such as `export AWS_REGION=eu-west-1`")
        })?;
        let (stacks, buckets) = (CloudFormation::new(&aws).map_err(failure)?, Buckets::new(&aws).map_err(failure)?);
        Ok(Account { aws, stacks, buckets, region, profile: settings.profile.clone() })
    }

    /// The options by which AWS's own program uses the same account.
    pub fn options(&self) -> String {
        let profile = self.profile.iter().map(|profile| format!(" --profile {}", quoted(profile)));
        [format!(" --region {}", quoted(&self.region))].into_iter().chain(profile).collect()
    }

    /// The region and the account's number, to be shown before the user confirms something.
    ///
    /// # Errors
    /// If the account's number cannot be read.
    pub fn place(&self) -> Result<String, Failure> {
        let number = account_number(&self.aws).map_err(failure)?;
        Ok(format!("{} of the account {number}", self.region))
    }
}

/// The failure for a call that AWS refused or that did not reach it.
pub fn failure(error: AwsError) -> Failure {
    let hint = match &error {
        AwsError::Refused { code, action, .. } if code.contains("AccessDenied") || code == "UnauthorizedOperation" => {
            Some(format!("the credentials do not allow `{action}`; `AWS_PROFILE` selects others"))
        }
        AwsError::Refused { code, .. } if code.contains("ExpiredToken") || code == "InvalidClientTokenId" => {
            Some("the credentials have expired or are wrong; log in again".to_owned())
        }
        AwsError::Failed { why, .. } if why.contains("redentials") => Some(
            "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws sso login`"
                .to_owned(),
        ),
        _ => None,
    };
    let failure = Failure::undone(error.to_string());
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

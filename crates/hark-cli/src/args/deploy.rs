//! Commands on instances on AWS Lambda.

use clap::Args;

use super::options::ConfigFile;

/// `hark deploy`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark deploy                        deploy the project in this folder, or its changes
  hark deploy --yes --uuid shop      ask nothing
  hark deploy --dry-run              print the template of CloudFormation, and change nothing

The account and the region are those of the AWS SDK: AWS_PROFILE, AWS_REGION, and so on.")]
pub struct Deploy {
    /// The name of the instance. Default: that of the last deployment from this folder, else a new UUID
    #[arg(long, value_name = "NAME")]
    pub uuid: Option<String>,
    /// Print the template of CloudFormation, and change nothing in the account
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Do not tell what is being done
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark destroy`
#[derive(Debug, Args)]
pub struct Destroy {
    /// The name of the instance. Default: that of the last deployment from this folder
    #[arg(long, value_name = "NAME")]
    pub uuid: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

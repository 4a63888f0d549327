//! Commands on instances on AWS Lambda.

use clap::Args;

use super::labels::key;
use super::options::{CallChoice, ConfigFile};

/// The instance that a command is about.
#[derive(Debug, Args)]
pub struct InstanceName {
    /// The name of the instance. Default: that of the last deployment from this folder
    #[arg(long, value_name = "NAME")]
    pub uuid: Option<String>,
}

impl InstanceName {
    /// The name that is given, if one is.
    pub fn given(&self) -> Option<&str> {
        self.uuid.as_deref()
    }
}

/// What `hark deploy` does beyond that without a name.
const DEPLOYED_NAME: &str =
    "The name of the instance. Default: that of the last deployment from this folder, else a new UUID";

/// `hark deploy`
#[derive(Debug, Args)]
#[command(mut_arg("uuid", |uuid| uuid.help(DEPLOYED_NAME)))]
#[command(after_help = "\
Examples:
  hark deploy                        deploy the project in this folder, or its changes
  hark deploy --yes --uuid shop      ask nothing
  hark deploy --dry-run              print the CloudFormation template, and change nothing

The account and the region are those of the AWS SDK: AWS_PROFILE, AWS_REGION, and so on.")]
pub struct Deploy {
    #[command(flatten)]
    pub instance: InstanceName,
    /// Print the CloudFormation template, and change nothing in the account
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Do not show progress
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark destroy`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark destroy                       the instance that was deployed last from this folder, with all its sessions
  hark destroy --yes --uuid shop     ask nothing

Buckets in `managed_buckets` stay if there is data in them.")]
pub struct Destroy {
    #[command(flatten)]
    pub instance: InstanceName,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark invoke`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark invoke                        run main() in the instance, and show it as `hark run` does
  hark invoke -f add 3 -4            run add(\"3\", \"-4\")
  hark invoke --args '[1, {}]'       run main(1, {}): arguments that are not strings
  SESSION=$(hark invoke --async)     start it; `hark stdout --deployed --follow $SESSION` shows its output
  hark invoke --key order-17 17      start it once; the second time, show the same session

Ctrl-C ends the command, and not the session: `hark cancel --deployed ID` does.

Exit status: 0 finished, 1 broken, 2 an invalid command line, 130 or 143 interrupted.")]
pub struct Invoke {
    #[command(flatten)]
    pub call: CallChoice,
    /// Start the session, print its id, and do not wait for its end
    #[arg(long = "async")]
    pub is_async: bool,
    /// Start the session under a name of your own, only once: if it exists already, show that one. Commands accept the key as an ID
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub key: Option<String>,
    #[command(flatten)]
    pub instance: InstanceName,
    /// Print only the program's output and its result
    #[arg(short, long)]
    pub quiet: bool,
    /// Show no status line on the terminal
    #[arg(long)]
    pub no_progress: bool,
    /// Print one JSON object, like `hark run --json`; with `--async` only the session's id
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark logs`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark logs                          of the last 10 minutes
  hark logs --since 2d --json        an object for each line
  hark logs -f                       new lines as they come; Ctrl-C ends it

It is what Hark and Python functions write to standard error, and what AWS adds. `hark stdout` prints a session's output.")]
pub struct Logs {
    /// Print new lines as they come
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// How far back to begin: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "AGE", default_value = "10m")]
    pub since: String,
    /// Only the log of this Lambda function, as `hark info` names it; may be given more than once
    #[arg(long = "function", value_name = "NAME")]
    pub functions: Vec<String>,
    #[command(flatten)]
    pub instance: InstanceName,
    /// Print one JSON object per line: time, function, stream, text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark info`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark info
  hark info --json | jq -r .url      the address of the HTTP API")]
pub struct Info {
    #[command(flatten)]
    pub instance: InstanceName,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

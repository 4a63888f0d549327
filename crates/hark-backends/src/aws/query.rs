//! AWS's *Query* protocol, with forms as requests and XML as answers: CloudFormation and STS.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use roxmltree::{Document, Node};

use super::error::refusal;
use super::s3::encoded;
use super::{Aws, AwsError, Request, Service, retried};

/// How long one try may take. Proposing a change takes CloudFormation some seconds.
const TRY_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a call is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service with this protocol.
pub(super) struct Query {
    aws: Aws,
    service: Service,
    /// Its name in the domain.
    name: &'static str,
    version: &'static str,
}

impl Query {
    pub fn new(aws: &Aws, name: &'static str, version: &'static str) -> Result<Query, AwsError> {
        let service = Service::new(aws, name, aws.endpoint(name)?, TRY_TIME_MAX)?;
        Ok(Query { aws: aws.clone(), service, name, version })
    }

    /// Calls an action, retries it while that may help, and reads the answer. An action that must not happen twice has
    /// a token among its parameters.
    pub fn call<T>(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        read: impl FnOnce(Node<'_, '_>) -> Option<T>,
    ) -> Result<T, AwsError> {
        let answer = self.aws.wait(async { Ok(self.send(action, parameters).await) })??;
        let unreadable = || AwsError::Failed { action: action.to_owned(), why: "its answer cannot be read".to_owned() };
        let document = Document::parse(&answer).map_err(|_| unreadable())?;
        read(document.root_element()).ok_or_else(unreadable)
    }

    async fn send(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String, AwsError> {
        let url = match self.service.endpoint() {
            Some(endpoint) => format!("{endpoint}/"),
            None => format!("https://{}.{}.{}/", self.name, self.service.region(), self.service.domain()),
        };
        let all = [("Action", action), ("Version", self.version)].into_iter().chain(parameters.iter().copied());
        let body = all.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
        let ask = || async {
            let (answer, body) = self.service.send::<ErrorMetadata>(&request).await?;
            if answer.status().is_success() {
                return Ok(String::from_utf8_lossy(&body).into_owned());
            }
            Err(SdkError::service_error(refusal(&body), answer))
        };
        retried(PATIENCE, ask).await.map_err(|error| AwsError::of(action, self.service.place(), error))
    }
}

/// The number of the account whose credentials are used.
///
/// # Errors
/// If it cannot be asked for.
pub fn account_number(aws: &Aws) -> Result<String, AwsError> {
    let read = |root: Node<'_, '_>| text_of(child(root, "GetCallerIdentityResult")?, "Account");
    Query::new(aws, "sts", "2011-06-15")?.call("GetCallerIdentity", &[], read)
}

/// The element of this name within another, directly.
pub(super) fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}

/// The text of the element of this name within another.
pub(super) fn text_of(node: Node<'_, '_>, name: &str) -> Option<String> {
    child(node, name).map(|child| child.text().unwrap_or_default().to_owned())
}

/// The members of the list of this name within another element.
pub(super) fn members<'a, 'input>(node: Node<'a, 'input>, name: &str) -> impl Iterator<Item = Node<'a, 'input>> {
    child(node, name).into_iter().flat_map(|list| list.children().filter(|child| child.tag_name().name() == "member"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let text =
            "<R xmlns=\"x\"><List><member><Name>a</Name></member><member><Name/></member></List><Other>1</Other></R>";
        let document = Document::parse(text).unwrap();
        let root = document.root_element();
        let names: Vec<_> = members(root, "List").map(|member| text_of(member, "Name")).collect();
        assert_eq!(names, [Some("a".to_owned()), Some(String::new())]);
        assert_eq!((text_of(root, "Other"), text_of(root, "None")), (Some("1".to_owned()), None));
        assert_eq!(members(root, "None").count(), 0);
    }
}

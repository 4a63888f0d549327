"""Compares the roles of an instance's template, and the permissions of the deployer (docs/guide/lambda-deployer.json), with the recorded
calls, and with the permissions that CloudFormation's registry lists for each type of resource (in cfn-lint)."""
import json
from pathlib import Path

from deploy import expect
from stand_in.policies import Role, listed, matches
from stand_in.template import ACCOUNT, Address, Template

DEPLOYER = Path(__file__).resolve().parent.parent.parent / "docs/guide/lambda-deployer.json"

BY_LAMBDA = "Lambda does this with the function's role"
BY_PROGRAM = "what a program may do with the buckets that its settings name"
# Actions that a role allows though Hark does not call them, by statement and action.
REASONS = {
    ("Timers", "sqs:DeleteMessage"): BY_LAMBDA, ("Timers", "sqs:GetQueueAttributes"): BY_LAMBDA, ("Timers", "sqs:ReceiveMessage"): BY_LAMBDA,
    ("DeadLetters", "sqs:SendMessage"): BY_LAMBDA,
    ("Logs", "logs:CreateLogStream"): BY_LAMBDA, ("Logs", "logs:PutLogEvents"): BY_LAMBDA,
    ("ContentsList", "s3:ListBucket"): "else S3 says of a missing object that it may not be read",
    ("Objects", "*"): BY_PROGRAM, ("Buckets", "*"): BY_PROGRAM,
}
# Actions that need no permission.
FREE = {"sts:GetCallerIdentity"}
# Actions that the deployer may take though the story does not.
SELDOM = {
    "sqs:SendMessage": "a command on a session may leave a thread to be woken later",
}
# Statements about all resources of the account.
STARS = {
    "MappingsAndLayers": "a mapping has no name of its own, and a layer may be another account's",
    "LogsList": "what these list has no name",
}
# Actions that CloudFormation may need for templates other than Hark's.
NOT_NEEDED = {
    "kms:*": "no keys of the user's own",
    "ec2:*": "no networks of the user's own",
    "elasticfilesystem:*": "no file systems", "s3files:*": "no file systems",
    "codedeploy:*": "aliases change at once",
    "kinesis:*": "no streams", "firehose:*": "no streams", "dynamodb:*KinesisStreamingDestination": "no streams",
    "dynamodb:*Replica": "one region", "iam:CreateServiceLinkedRole": "one region",
    "dynamodb:ImportTable": "no imports", "dynamodb:DescribeImport": "no imports", "s3:GetObjectMetadata": "no imports",
    "s3:getObject": "no definition of an API in a bucket", "s3:GetObjectVersion": "the bucket of code has no versions",
    "dynamodb:Scan": "no imports", "logs:CreateLogStream": "no imports", "logs:DescribeLogStreams": "no imports", "logs:PutLogEvents": "no imports",
    "dynamodb:UpdateContributorInsights": "not set", "dynamodb:UpdateContinuousBackups": "not set",
    "dynamodb:*ResourcePolicy": "no policy of its own", "dynamodb:DeleteResourcePolicy": "no policy of its own",
    "iam:*RolePermissionsBoundary": "no boundaries", "iam:AttachRolePolicy": "no managed policies", "iam:DetachRolePolicy": "no managed policies",
    "lambda:*Concurrency": "not set", "lambda:*ProvisionedConcurrencyConfig": "not set", "lambda:*CodeSigningConfig": "not set",
    "lambda:PutRuntimeManagementConfig": "not set", "lambda:PutFunctionScalingConfig": "not set",
    "lambda:PassCapacityProvider": "not set", "lambda:AssociateRuntimeAlias": "not set",
    "logs:*DataProtectionPolicy": "not set", "logs:*IndexPolicy": "not set", "logs:*ResourcePolicy": "not set",
    "logs:*KmsKey": "not set", "logs:CreateLogDelivery": "not set", "logs:*BearerTokenAuthentication": "not set",
    "logs:PutLogGroupDeletionProtection": "not set", "s3:REST.PUT.OBJECT": "not set",
    "s3:Put*": "not set", "s3:GetBucketAcl": "not set", "s3:Delete*": "not set", "s3:*Metadata*": "not set", "s3tables:*": "not set",
}


# The keys with which these have called. Functions have the number of the account.
WHO = {"functions": ACCOUNT, "schedules": "SCHEDULE", "deployer": "DEPLOYER", "API": "API"}


def check(template, calls, registry):
    made = Template(template, Address("127.0.0.1:1", "127.0.0.1:2"), lambda _: 1)
    roles = {name: Role(properties) for name, properties in made.of("IAM::Role").items()}
    by = lambda who: sorted(call for call in calls if call.who == who)
    for role, who in (("Role", WHO["functions"]), ("SchedulesRole", WHO["schedules"])):
        refused = [call for call in by(who) if not roles[role].allows(call.action, call.resource)]
        expect(f"{role}: allows what is called ({len(by(who))} different calls)", refused, [])
        expect(f"{role}: and nothing else without a reason", unused(roles[role].statements, by(who)), [])
    deployer = by(WHO["deployer"])
    policy = json.loads(DEPLOYER.read_text())["Statement"]
    stars = {statement["Sid"] for statement in policy if "*" in listed(statement["Resource"])}
    expect("the deployer may do little with resources outside an instance", stars, set(STARS))
    wild = [action for statement in policy for action in listed(statement["Action"]) if "*" in action]
    expect("and may take no actions by wildcard", wild, [])
    refused = [call for call in deployer if not allowed(policy, call) and call.action not in FREE]
    expect(f"who deploys may do what is called ({len(deployer)} different calls)", refused, [])
    expect("the API may invoke the function, and nobody else has called", {call.who for call in calls} - set(WHO.values()), set())
    check_registry(policy, {resource["Type"] for resource in template["Resources"].values()}, deployer, registry)


def allowed(statements, call):
    return any(any(matches(each, call.action) for each in listed(statement["Action"]))
               and any(matches(each, call.resource) for each in listed(statement["Resource"])) for statement in statements)


def unused(statements, calls):
    """The actions that are allowed, were not taken, and have no reason."""
    found = []
    for statement in statements:
        for action in listed(statement["Action"]):
            is_used = any(allowed([{**statement, "Action": action}], call) for call in calls)
            if not is_used and not {(statement["Sid"], action), (statement["Sid"], "*")} & set(REASONS):
                found.append((statement["Sid"], action))
    return found


def check_registry(policy, kinds, calls, registry):
    """Whether the deployer may do what CloudFormation does for these types of resources, and nothing more."""
    index = json.loads((registry / "providers/us-east-1.json").read_text())
    handlers = [json.loads((registry / f"resources/{index[kind]}.json").read_text())["handlers"] for kind in kinds]
    needed = {action for each in handlers for name in ("create", "read", "update", "delete")
              for action in each.get(name, {}).get("permissions", [])}
    given = {action for statement in policy for action in listed(statement["Action"])}
    missing = sorted(action for action in needed - given if not any(matches(pattern, action) for pattern in NOT_NEEDED))
    expect("the deployer may do what CloudFormation does", missing, [])
    called = {call.action for call in calls}
    expect("and nothing more", sorted(given - needed - called - set(SELDOM)), [])
    expect("each reason is still needed", sorted(set(SELDOM) & called), [])

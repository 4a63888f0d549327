"""Evaluates roles and permissions."""
import re

LAMBDA, SCHEDULER = "lambda.amazonaws.com", "scheduler.amazonaws.com"


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(pattern, text):
    """`*` stands for any text, `?` for a character."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None


class Role:
    def __init__(self, properties):
        self.trusts = {service for statement in properties["AssumeRolePolicyDocument"]["Statement"]
                       if statement["Effect"] == "Allow" and "sts:AssumeRole" in listed(statement["Action"])
                       for service in listed(statement["Principal"]["Service"])}
        self.statements = [statement for policy in properties["Policies"]
                           for statement in listed(policy["PolicyDocument"]["Statement"])]

    def allows(self, action, resource):
        return any(statement["Effect"] == "Allow" and any(matches(each, action) for each in listed(statement["Action"]))
                   and any(matches(each, resource) for each in listed(statement["Resource"]))
                   for statement in self.statements)


class Refused(Exception):
    """A call that the caller is not allowed to make."""


def permits(permissions, service, source, function, account):
    """Whether one of these permissions lets a service invoke a function for a source. For a bucket it must name the account."""
    account = account if service == "s3.amazonaws.com" else None
    return any(each["Action"] == "lambda:InvokeFunction" and each["Principal"] == service and each["FunctionName"] == function
               and matches(each["SourceArn"], source) and each.get("SourceAccount") == account
               for each in permissions)

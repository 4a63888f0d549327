"""The resources of a template with all references resolved, as CloudFormation would create them."""
import os
import re
from dataclasses import dataclass

ACCOUNT, REGION = "000000000000", "eu-west-1"
PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws"}
# The property with a resource's name, and the start of its ARN.
NAMED = {
    "AWS::DynamoDB::Table": ("TableName", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"),
    "AWS::IAM::Role": ("RoleName", f"arn:aws:iam::{ACCOUNT}:role/"),
    "AWS::Lambda::Function": ("FunctionName", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"),
    "AWS::S3::Bucket": ("BucketName", "arn:aws:s3:::"),
    "AWS::SQS::Queue": ("QueueName", f"arn:aws:sqs:{REGION}:{ACCOUNT}:"),
}


def without(template):
    """Omits the property that an environment variable names, so that checked.py sees whether a test notices."""
    kind, _, name = os.environ.get("HARK_TEST_WITHOUT", "").rpartition(".")
    for resource in template["Resources"].values():
        if resource["Type"] == kind:
            resource["Properties"].pop(name, None)


@dataclass
class Address:
    """Where the stand-ins are reached."""

    services: str
    api: str

    def queue(self, name):
        return f"http://{self.services}/{ACCOUNT}/{name}"


class Template:
    """`version_of` gives the number of the version of a function that a resource stands for."""

    def __init__(self, template, address, version_of):
        self.resources, self.address, self.version_of = template["Resources"], address, version_of

    def of(self, kind):
        """The properties of all resources of a type, by their logical names."""
        return {name: self.resolved(resource.get("Properties", {})) for name, resource in self.resources.items()
                if resource["Type"] == f"AWS::{kind}"}

    def resolved(self, value):
        match value:
            case {"Ref": name}:
                return self.reference(name)
            case {"Fn::GetAtt": [name, attribute]}:
                return self.attribute(name, attribute)
            case {"Fn::Sub": text}:
                return re.sub(r"\$\{([^}]+)\}", lambda found: self.reference(found[1]), text)
            case dict():
                return {name: self.resolved(each) for name, each in value.items()}
            case list():
                return [self.resolved(each) for each in value]
        return value

    def name(self, logical):
        resource = self.resources[logical]
        return self.resolved(resource["Properties"][NAMED[resource["Type"]][0]])

    def reference(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        kind = self.resources[name]["Type"]
        if kind == "AWS::SQS::Queue":
            return self.address.queue(self.name(name))
        # What has no name of its own is known by its logical one.
        return self.name(name) if kind in NAMED else name

    def attribute(self, name, attribute):
        kind = self.resources[name]["Type"]
        if attribute == "Arn":
            return NAMED[kind][1] + self.name(name)
        if (kind, attribute) == ("AWS::Lambda::Version", "Version"):
            return self.version_of(name)
        if (kind, attribute) == ("AWS::ApiGatewayV2::Api", "ApiEndpoint"):
            return f"http://{self.address.api}"
        raise KeyError(f"{kind} has no {attribute}")

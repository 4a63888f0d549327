"""Stand-ins for the AWS services of an instance of Hark, built from its template: Lambda functions, SQS queues,
schedules, uploads into S3 and requests of an HTTP API. tests/lambda/service.py puts them together."""

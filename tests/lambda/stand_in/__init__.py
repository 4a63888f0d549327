"""Stand-ins for the services of AWS that an instance of Hark consists of, made from its template: Lambda functions, SQS queues,
schedules, uploads into S3 and requests of an HTTP API. tests/lambda/service.py puts them together."""

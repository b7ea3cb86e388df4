"""The estate of an environment: the AWS resources that Terraform creates on AWS, created here with boto3."""

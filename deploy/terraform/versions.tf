# The platform on AWS: ECS on one EC2 machine, MSK, RDS and S3, in a network without a way to the internet.
# What it is, what was checked of it and the commands: docs/deployment.md. It was never applied.
terraform {
  required_version = ">= 1.10" # OpenTofu too: both lock the state in its bucket since then

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }

  # The bucket of the state is the bank's own: terraform init -backend-config="bucket=..." -backend-config="region=..."
  backend "s3" {
    key          = "credit-risk-platform/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = local.name }
  }
}

data "aws_caller_identity" "current" {}

locals {
  name = "credit-risk"
}

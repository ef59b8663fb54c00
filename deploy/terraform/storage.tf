# The lake's bucket (CRP_LAKE_URL), the home's volume with its nightly copies, and the registry of the image.

resource "aws_s3_bucket" "lake" {
  bucket = var.bucket

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket                  = aws_s3_bucket.lake.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "lake" {
  bucket = aws_s3_bucket.lake.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.platform.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    id     = "what-nobody-sees-and-everybody-pays"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    noncurrent_version_expiration { # a person's data that were erased are gone for good after this
      noncurrent_days = 30
    }
  }
}

data "aws_iam_policy_document" "lake" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.lake.arn, "${aws_s3_bucket.lake.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "lake" {
  bucket = aws_s3_bucket.lake.id
  policy = data.aws_iam_policy_document.lake.json
}

# ------------------------------------------------------------------------------------------------------- the home

# SQLite and flock need a file system of one machine: a block device, never EFS, and so never Fargate.
resource "aws_ebs_volume" "home" {
  availability_zone = aws_subnet.private[0].availability_zone
  type              = "gp3"
  size              = var.home_gigabytes
  encrypted         = true
  kms_key_id        = aws_kms_key.platform.arn
  tags              = { Name = "${local.name}-home", Backup = local.name }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_dlm_lifecycle_policy" "home" { # without the catalogue in the home, the lake's Parquet is a heap of files
  description        = "The home every night, two weeks of them"
  execution_role_arn = aws_iam_role.of["snapshots"].arn
  state              = "ENABLED"

  policy_details {
    resource_types = ["VOLUME"]
    target_tags    = { Backup = local.name }

    schedule {
      name      = "nightly"
      copy_tags = true

      create_rule {
        interval      = 24
        interval_unit = "HOURS"
        times         = ["22:30"]
      }

      retain_rule {
        count = 14
      }
    }
  }
}

# ------------------------------------------------------------------------------------------------------- the image

resource "aws_ecr_repository" "platform" {
  name                 = "${local.name}/platform"
  image_tag_mutability = "IMMUTABLE"

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.platform.arn
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

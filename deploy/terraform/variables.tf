# What differs from bank to bank. bank.tfvars.example has a value for each that has no default; none of them is a secret.

variable "region" {
  description = "Everything lies in it."
  type        = string
  default     = "eu-central-1"
}

variable "zones" {
  description = "Three zones of the region; machine and home are in the first, so never put another before it."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == 3
    error_message = "Name three different zones: Kafka has a broker in each."
  }
}

# ------------------------------------------------------------------------------------------------------- network

variable "network" {
  description = "Addresses of the platform's network: free in the bank's plan, /22 or larger."
  type        = string
  default     = "10.40.0.0/22"

  validation {
    condition     = can(cidrhost(var.network, 0)) && try(tonumber(split("/", var.network)[1]) <= 22, false)
    error_message = "Give a network of IPv4 as 10.40.0.0/22: three subnets of /24 are cut from it."
  }
}

variable "transit_gateway_id" {
  description = "The bank's transit gateway: the only way in and out."
  type        = string
}

variable "client_networks" {
  description = "From where people and systems reach API and dashboard."
  type        = list(string)

  validation {
    condition     = alltrue([for net in var.client_networks : can(cidrhost(net, 0)) && try(tonumber(split("/", net)[1]) >= 8, false)])
    error_message = "Name networks of the bank, /8 at the widest: the world is none of them."
  }
}

variable "producer_networks" {
  description = "From where systems send applications and repayments to Kafka."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for net in var.producer_networks : can(cidrhost(net, 0)) && try(tonumber(split("/", net)[1]) >= 8, false)])
    error_message = "Name networks of the bank, /8 at the widest: the world is none of them."
  }
}

variable "hosts" {
  description = "Host names of the API, the dashboard and the customers' pages: in the bank's DNS, aliases of the output `load_balancer`."
  type        = object({ api = string, dashboard = string, customers = string })
}

variable "certificate_arn" {
  description = "Certificate of those host names in ACM."
  type        = string
}

# ------------------------------------------------------------------------------------------------------- what runs

variable "started" {
  description = "false makes everything but what reads the secrets: for the first time, when they have no values yet."
  type        = bool
  default     = true
}

variable "image_tag" {
  description = "Tag of the image in the registry made here (output `registry`)."
  type        = string
}

variable "settings" {
  description = "More settings of the platform, as in deploy/env; no secrets."
  type        = map(string)
  default     = {}

  validation { # a test holds this pattern to the platform's own list of secrets
    condition     = alltrue([for name in keys(var.settings) : !can(regex("PASSWORD|PASSPHRASE|SECRET|TOKEN|_KEY$|_KEY_ID$|ACCOUNT_NUMBER$|CLIENT_ID$|(DATABASE|TRACKING|SLACK|WEBHOOK)_URL$", name))])
    error_message = "That is a secret: put it into the secret credit-risk/platform and name it in more_secrets."
  }
}

variable "more_secrets" {
  description = "Names of further secrets in credit-risk/platform, such as CRP_CRM_DATABASE_URL."
  type        = set(string)
  default     = []
}

variable "producer_secret_arns" {
  description = "Secrets (AmazonMSK_..., with the key made here) of the systems that send to Kafka."
  type        = list(string)
  default     = []
}

# ------------------------------------------------------------------------------------------------------- sizes

variable "bucket" {
  description = "Name of the lake's bucket: nobody else in the world may have it."
  type        = string
}

variable "machine_type" {
  description = "Containers take 20 GB together at their limits; measured were 4.4 GB at 5M loans (bench/README.md)."
  type        = string
  default     = "m7i.2xlarge"
}

variable "home_gigabytes" {
  description = "Volume of the home: catalogue, spool, copies of bundles, Dagster's logs. The lake lies in the bucket."
  type        = number
  default     = 100
}

variable "database_type" {
  type    = string
  default = "db.m7g.large"
}

variable "broker_type" {
  type    = string
  default = "kafka.m7g.large"
}

variable "kafka_version" {
  description = "`aws kafka list-kafka-versions` tells what there is."
  type        = string
  default     = "3.9.x.kraft"
}

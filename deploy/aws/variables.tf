variable "name" {
  description = "What the names of everything begin with; also queue.prefix, so the table's name."
  type        = string
  default     = "flotilla"
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower-case letters, digits and hyphens."
  }
}

variable "vpc_id" {
  description = "The network the tasks run in."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets with a way out (NAT or endpoints)."
  type        = list(string)
}

variable "image" {
  description = "The image with every backend, as deploy/Dockerfile builds it."
  type        = string
}

variable "media_image" {
  description = "The same with ffmpeg and espeak-ng, for the lane \"media\"."
  type        = string
}

variable "services" {
  description = "Which lanes share a service, how large a task is, and how many jobs of backlog one task is to have."
  type = map(object({
    lanes       = list(string)
    cpu         = number
    memory      = number
    media       = optional(bool, false)
    least       = number
    most        = number
    backlog     = number
    drain_grace = optional(number, 25)
  }))
  default = {
    worker = { lanes = ["language", "links", "social", "tokens", "events"], cpu = 512, memory = 1024, least = 2, most = 20, backlog = 200 }
    images = { lanes = ["images"], cpu = 2048, memory = 4096, least = 0, most = 40, backlog = 50 }
    media  = { lanes = ["media"], cpu = 4096, memory = 8192, media = true, least = 0, most = 20, backlog = 2, drain_grace = 110 }
  }
}

variable "topic_lane" {
  description = "The lane on which notifications of the topic come; a [[route]] says which jobs they are."
  type        = string
  default     = "events"
}

variable "secrets" {
  description = "Secrets Manager: ARNs of the admin token and of the vault's wrapping keys, each the secret's whole text."
  type        = object({ admin_token = string, vault_keys = string })
}

variable "alarm_actions" {
  description = "Topics that hear of alarms."
  type        = list(string)
  default     = []
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
}

/// What bodies look like. Answers are closed: they have no member that is not listed.
extension OpenAPIDocument {
    static let schemas = #"""
        "Problem": {
          "type": "object",
          "required": ["detail"],
          "properties": {"detail": {"type": "string"}, "home": {"$ref": "#/components/schemas/Home"}},
          "additionalProperties": false
        },
        "Health": {
          "type": "object",
          "required": ["status", "service", "entra_verify_enabled"],
          "properties": {
            "status": {"type": "string"},
            "service": {"type": "string"},
            "entra_verify_enabled": {"type": "boolean"}
          },
          "additionalProperties": false
        },
        "Registration": {
          "type": "object",
          "required": ["public_key"],
          "properties": {
            "public_key": {"type": "string"},
            "proof": {"type": "string"},
            "proof_timestamp": {"type": "string"},
            "did": {"type": "string"},
            "capabilities": {"type": "array", "items": {"type": "string"}},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}}
          }
        },
        "Registered": {
          "type": "object",
          "required": ["did", "status"],
          "properties": {"did": {"type": "string"}, "status": {"type": "string"}},
          "additionalProperties": false
        },
        "AgentList": {
          "type": "object",
          "required": ["agents", "next"],
          "properties": {
            "agents": {"type": "array", "items": {"$ref": "#/components/schemas/Agent"}},
            "next": {"type": ["string", "null"]}
          }
        },
        "Agent": {
          "type": "object",
          "required": [
            "did",
            "public_key",
            "capabilities",
            "metadata",
            "registered_at",
            "last_seen",
            "reputation_score",
            "total_sessions",
            "successful_sessions",
            "failed_sessions",
            "timeout_sessions",
            "last_session_at",
            "completion_rate",
            "tier",
            "verified_app_id",
            "verified_tenant_id",
            "verified_at"
          ],
          "properties": {
            "did": {"type": "string"},
            "public_key": {"type": "string"},
            "capabilities": {"type": "array", "items": {"type": "string"}},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            "registered_at": {"type": "string"},
            "last_seen": {"type": "string"},
            "reputation_score": {"type": "number"},
            "total_sessions": {"type": "integer"},
            "successful_sessions": {"type": "integer"},
            "failed_sessions": {"type": "integer"},
            "timeout_sessions": {"type": "integer"},
            "last_session_at": {"type": ["string", "null"]},
            "completion_rate": {"type": ["number", "null"]},
            "tier": {"enum": ["anonymous", "verified"]},
            "verified_app_id": {"type": ["string", "null"]},
            "verified_tenant_id": {"type": ["string", "null"]},
            "verified_at": {"type": ["string", "null"]},
            "successor": {"type": "string"},
            "revoked_at": {"type": "string"},
            "revocation": {"$ref": "#/components/schemas/Revocation"}
          },
          "additionalProperties": false
        },
        "PrekeyUpload": {
          "type": "object",
          "required": ["identity_key", "identity_key_ed", "signed_pre_key"],
          "properties": {
            "identity_key": {"type": "string"},
            "identity_key_ed": {"type": "string"},
            "signed_pre_key": {
              "type": "object",
              "required": ["key_id", "public_key", "signature"],
              "properties": {"key_id": {"type": "integer"}, "public_key": {"type": "string"}, "signature": {"type": "string"}}
            },
            "one_time_pre_keys": {
              "type": "array",
              "items": {
                "type": "object",
                "required": ["key_id", "public_key"],
                "properties": {"key_id": {"type": "integer"}, "public_key": {"type": "string"}}
              }
            }
          }
        },
        "PrekeysStored": {
          "type": "object",
          "required": ["did", "otk_count"],
          "properties": {"did": {"type": "string"}, "otk_count": {"type": "integer"}},
          "additionalProperties": false
        },
        "PrekeyBundle": {
          "type": "object",
          "required": ["identity_key", "identity_key_ed", "signed_pre_key", "one_time_pre_key"],
          "properties": {
            "identity_key": {"type": "string"},
            "identity_key_ed": {"type": "string"},
            "signed_pre_key": {
              "type": "object",
              "required": ["key_id", "public_key", "signature"],
              "properties": {"key_id": {"type": "integer"}, "public_key": {"type": "string"}, "signature": {"type": "string"}},
              "additionalProperties": false
            },
            "one_time_pre_key": {
              "anyOf": [
                {
                  "type": "object",
                  "required": ["key_id", "public_key"],
                  "properties": {"key_id": {"type": "integer"}, "public_key": {"type": "string"}},
                  "additionalProperties": false
                },
                {"type": "null"}
              ]
            }
          },
          "additionalProperties": false
        },
        "Presence": {
          "type": "object",
          "required": ["did", "last_seen", "online"],
          "properties": {
            "did": {"type": "string"},
            "last_seen": {"type": "string"},
            "online": {"type": "boolean"},
            "successor": {"type": "string"}
          },
          "additionalProperties": false
        },
        "Heartbeat": {
          "type": "object",
          "required": ["did", "last_seen"],
          "properties": {"did": {"type": "string"}, "last_seen": {"type": "string"}},
          "additionalProperties": false
        },
        "Rating": {
          "type": "object",
          "required": ["score"],
          "properties": {"score": {"type": "number", "minimum": 0, "maximum": 1}, "reason": {"type": ["string", "null"]}}
        },
        "Rated": {
          "type": "object",
          "required": ["did", "reputation_score"],
          "properties": {"did": {"type": "string"}, "reputation_score": {"type": "number"}},
          "additionalProperties": false
        },
        "SessionReport": {
          "type": "object",
          "required": ["session_id", "initiator_amid", "receiver_amid", "outcome", "reporter_amid"],
          "properties": {
            "session_id": {"type": "string"},
            "initiator_amid": {"type": "string"},
            "receiver_amid": {"type": "string"},
            "outcome": {"type": "string"},
            "reporter_amid": {"type": "string"},
            "intent": {"type": ["string", "null"]}
          }
        },
        "SessionRated": {
          "type": "object",
          "required": ["session_id", "outcome", "reputation"],
          "properties": {
            "session_id": {"type": "string"},
            "outcome": {"type": "string"},
            "reputation": {"type": "object", "additionalProperties": {"type": "number"}}
          },
          "additionalProperties": false
        },
        "Revocation": {
          "type": "object",
          "required": ["did", "public_key", "reason", "timestamp", "signature"],
          "properties": {
            "did": {"type": "string"},
            "public_key": {"type": "string"},
            "reason": {"type": "string"},
            "timestamp": {"type": "string"},
            "signature": {"type": "string"}
          }
        },
        "Revoked": {
          "type": "object",
          "required": ["did", "revoked_at"],
          "properties": {"did": {"type": "string"}, "revoked_at": {"type": "string"}},
          "additionalProperties": false
        },
        "Succession": {
          "type": "object",
          "required": ["old_did", "old_key", "new_did", "new_key", "reason", "epoch", "timestamp", "signature", "proof"],
          "properties": {
            "old_did": {"type": "string"},
            "old_key": {"type": "string"},
            "new_did": {"type": "string"},
            "new_key": {"type": "string"},
            "reason": {"type": "string"},
            "epoch": {"type": "integer"},
            "timestamp": {"type": "string"},
            "signature": {"type": "string"},
            "proof": {"type": "string"}
          }
        },
        "HomeUpdate": {
          "type": "object",
          "required": ["epoch", "home", "timestamp", "signature"],
          "properties": {
            "epoch": {"type": "integer"},
            "home": {"type": "string"},
            "timestamp": {"type": "string"},
            "signature": {"type": "string"},
            "succession": {"$ref": "#/components/schemas/Succession"}
          }
        },
        "Home": {
          "type": "object",
          "required": ["agent", "did", "home", "epoch", "updated_at"],
          "properties": {
            "agent": {"type": "string"},
            "did": {"type": "string"},
            "home": {"type": "string"},
            "epoch": {"type": "integer"},
            "updated_at": {"type": "string"}
          },
          "additionalProperties": false
        },
        "HomeHistory": {
          "type": "object",
          "required": ["history", "total"],
          "properties": {
            "history": {
              "type": "array",
              "items": {
                "type": "object",
                "required": ["epoch", "home", "did", "updated_at"],
                "properties": {
                  "epoch": {"type": "integer"},
                  "home": {"type": "string"},
                  "did": {"type": "string"},
                  "updated_at": {"type": "string"}
                },
                "additionalProperties": false
              }
            },
            "total": {"type": "integer"}
          },
          "additionalProperties": false
        },
        "Discovered": {
          "type": "object",
          "required": ["results", "total"],
          "properties": {
            "results": {
              "type": "array",
              "items": {
                "type": "object",
                "required": ["did", "capabilities", "reputation_score", "last_seen"],
                "properties": {
                  "did": {"type": "string"},
                  "capabilities": {"type": "array", "items": {"type": "string"}},
                  "reputation_score": {"type": "number"},
                  "last_seen": {"type": "string"}
                },
                "additionalProperties": false
              }
            },
            "total": {"type": "integer"}
          },
          "additionalProperties": false
        },
        "Verification": {
          "type": "object",
          "required": ["amid", "verification_token"],
          "properties": {"amid": {"type": "string"}, "verification_token": {"type": "string"}}
        },
        "Verified": {
          "type": "object",
          "required": ["did", "tier", "verified_app_id", "verified_tenant_id", "verified_at"],
          "properties": {
            "did": {"type": "string"},
            "tier": {"type": "string"},
            "verified_app_id": {"type": "string"},
            "verified_tenant_id": {"type": "string"},
            "verified_at": {"type": "string"}
          },
          "additionalProperties": false
        },
        "Providers": {
          "type": "object",
          "required": ["providers"],
          "properties": {
            "providers": {
              "type": "array",
              "items": {
                "type": "object",
                "required": ["name", "enabled", "display_name"],
                "properties": {"name": {"type": "string"}, "enabled": {"type": "boolean"}, "display_name": {"type": "string"}},
                "additionalProperties": false
              }
            }
          },
          "additionalProperties": false
        },
        "SignInRequest": {
          "type": "object",
          "required": ["amid", "provider", "signature", "timestamp"],
          "properties": {
            "amid": {"type": "string"},
            "provider": {"type": "string"},
            "signature": {"type": "string"},
            "timestamp": {"type": "string"},
            "callback": {"type": ["string", "null"]},
            "state": {"type": ["string", "null"]}
          }
        },
        "SignInBegun": {
          "type": "object",
          "required": ["authorization_url", "ticket", "interval", "expires_in"],
          "properties": {
            "authorization_url": {"type": "string"},
            "ticket": {"type": "string"},
            "interval": {"type": "integer"},
            "expires_in": {"type": "integer"}
          },
          "additionalProperties": false
        },
        "Ticket": {"type": "object", "required": ["ticket"], "properties": {"ticket": {"type": "string"}}},
        "Person": {
          "type": "object",
          "required": ["provider", "provider_id"],
          "properties": {
            "provider": {"type": "string"},
            "provider_id": {"type": "string"},
            "username": {"type": "string"},
            "email": {"type": "string"}
          },
          "additionalProperties": false
        },
        "SignInResult": {
          "type": "object",
          "required": ["success", "amid", "provider", "state", "timestamp", "registry_key", "signature"],
          "properties": {
            "success": {"type": "boolean"},
            "amid": {"type": "string"},
            "provider": {"type": "string"},
            "state": {"type": "string"},
            "timestamp": {"type": "string"},
            "registry_key": {"type": "string"},
            "signature": {"type": "string"},
            "verified_identity": {"$ref": "#/components/schemas/Person"},
            "error": {"type": "string"}
          },
          "additionalProperties": false
        },
        "SignInProgress": {
          "type": "object",
          "required": ["status"],
          "properties": {"status": {"enum": ["pending", "done"]}, "result": {"$ref": "#/components/schemas/SignInResult"}},
          "additionalProperties": false
        },
        "LogHead": {
          "type": "object",
          "required": ["size", "root", "timestamp", "key", "signature"],
          "properties": {
            "size": {"type": "integer"},
            "root": {"type": "string"},
            "timestamp": {"type": "string"},
            "key": {"type": "string"},
            "signature": {"type": "string"}
          },
          "additionalProperties": false
        },
        "LogEntry": {
          "type": "object",
          "required": ["index", "leaf"],
          "properties": {"index": {"type": "integer"}, "leaf": {"type": "string"}},
          "additionalProperties": false
        },
        "LogPage": {
          "type": "object",
          "required": ["entries", "size"],
          "properties": {
            "entries": {"type": "array", "items": {"$ref": "#/components/schemas/LogEntry"}},
            "size": {"type": "integer"}
          },
          "additionalProperties": false
        },
        "LogProof": {
          "type": "object",
          "required": ["entry", "path", "head"],
          "properties": {
            "entry": {"$ref": "#/components/schemas/LogEntry"},
            "path": {"type": "array", "items": {"type": "string"}},
            "head": {"$ref": "#/components/schemas/LogHead"}
          },
          "additionalProperties": false
        },
        "LogConsistency": {
          "type": "object",
          "required": ["from", "to", "path"],
          "properties": {
            "from": {"type": "integer"},
            "to": {"type": "integer"},
            "path": {"type": "array", "items": {"type": "string"}}
          },
          "additionalProperties": false
        }
        """#
}

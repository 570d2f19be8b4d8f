/// The registry's interface for programs that read it: OpenAPI 3.1, served at `/openapi.json`. Every answer of the
/// registry's tests is checked against it.
enum OpenAPIDocument {
    static let json = "{\(about),\"paths\":{\(paths)},\"components\":{\(shared),\"schemas\":{\(schemas)}}}"

    private static let about = #"""
        "openapi": "3.1.0",
        "info": {
          "title": "AgentMesh registry",
          "version": "1",
          "description": "Times are ISO 8601 in UTC, keys and signatures base64url without padding."
        }
        """#

    private static let shared = #"""
        "securitySchemes": {
          "signature": {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "Ed25519-Timestamp <did> <timestamp> <base64url Ed25519 over the timestamp>, good for 300 s"
          }
        },
        "parameters": {
          "did": {
            "name": "did", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "A DID in any form, or an AMID"
          }
        },
        "responses": {
          "problem": {
            "description": "Refused, and why",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
          }
        }
        """#

    private static let paths = #"""
        "/health": {
          "get": {
            "summary": "Whether the registry serves",
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}
              },
              "503": {
                "description": "Not now",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/openapi.json": {
          "get": {
            "summary": "This document",
            "responses": {
              "200": {"description": "Done", "content": {"application/json": {"schema": {"type": "object"}}}},
              "4XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents": {
          "get": {
            "summary": "Agents in the order they came, page by page",
            "parameters": [
              {"name": "limit", "in": "query", "required": false, "schema": {"type": "integer", "minimum": 1, "maximum": 200}},
              {"name": "after", "in": "query", "required": false, "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"}},
              {"name": "tier", "in": "query", "required": false, "schema": {"enum": ["anonymous", "verified"]}},
              {"name": "name", "in": "query", "required": false, "schema": {"type": "string", "maxLength": 1024}}
            ],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AgentList"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          },
          "post": {
            "summary": "Register a key that the caller proves to have",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Registration"}}}
            },
            "responses": {
              "201": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Registered"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}": {
          "get": {
            "summary": "Look an agent up",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Agent"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          },
          "delete": {
            "summary": "Leave the registry",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "security": [{"signature": []}],
            "responses": {
              "204": {"description": "Done"},
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}/prekeys": {
          "get": {
            "summary": "Fetch a prekey bundle; a one-time prekey is handed out once",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "security": [{"signature": []}, {}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PrekeyBundle"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          },
          "put": {
            "summary": "Upload prekeys",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PrekeyUpload"}}}
            },
            "security": [{"signature": []}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PrekeysStored"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}/presence": {
          "get": {
            "summary": "Whether an agent is there",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Presence"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}/heartbeat": {
          "post": {
            "summary": "Say that the caller is there",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "security": [{"signature": []}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Heartbeat"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}/reputation": {
          "post": {
            "summary": "Rate another agent",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Rating"}}}
            },
            "security": [{"signature": []}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Rated"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}/revoke": {
          "post": {
            "summary": "Revoke a key for good, with its own signature",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Revocation"}}}
            },
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Revoked"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}/home": {
          "get": {
            "summary": "Where an agent lives",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Home"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          },
          "put": {
            "summary": "Move an agent: compare and set, signed by its present home; 409 holds the present record",
            "parameters": [{"$ref": "#/components/parameters/did"}],
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HomeUpdate"}}}
            },
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Home"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/agents/{did}/home/history": {
          "get": {
            "summary": "Where an agent lived, newest first",
            "parameters": [
              {"$ref": "#/components/parameters/did"},
              {
                "name": "limit",
                "in": "query",
                "required": false,
                "schema": {"type": "integer", "minimum": 1, "maximum": 200}
              },
              {"name": "offset", "in": "query", "required": false, "schema": {"type": "integer", "minimum": 0, "maximum": 100000}}
            ],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HomeHistory"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/registry/succession": {
          "post": {
            "summary": "A new key for an agent that is its own home, signed by both keys; 409 holds the present record",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Succession"}}}
            },
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Home"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/discover": {
          "get": {
            "summary": "Agents with a capability, best reputation first",
            "parameters": [
              {"name": "capability", "in": "query", "required": true, "schema": {"type": "string"}},
              {
                "name": "limit",
                "in": "query",
                "required": false,
                "schema": {"type": "integer", "minimum": 1, "maximum": 200}
              },
              {"name": "offset", "in": "query", "required": false, "schema": {"type": "integer", "minimum": 0, "maximum": 100000}}
            ],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Discovered"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/registry/reputation/session": {
          "post": {
            "summary": "Report how a session ended",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SessionReport"}}}
            },
            "security": [{"signature": []}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SessionRated"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/registry/verify": {
          "post": {
            "summary": "Become verified with an access token of Microsoft Entra ID",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Verification"}}}
            },
            "security": [{"signature": []}, {}],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Verified"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/auth/oauth/providers": {
          "get": {
            "summary": "Where people may sign in",
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Providers"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/auth/oauth/authorize": {
          "post": {
            "summary": "Begin the sign-in of the person behind an agent",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SignInRequest"}}}
            },
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SignInBegun"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/auth/oauth/callback": {
          "get": {
            "summary": "Where a provider sends the browser back",
            "parameters": [
              {"name": "state", "in": "query", "required": false, "schema": {"type": "string"}},
              {"name": "code", "in": "query", "required": false, "schema": {"type": "string"}},
              {"name": "error", "in": "query", "required": false, "schema": {"type": "string"}}
            ],
            "responses": {
              "200": {"description": "A page for the person", "content": {"text/html": {"schema": {"type": "string"}}}},
              "302": {"description": "To the client's own machine, with the result"},
              "4XX": {"description": "A page for the person", "content": {"text/html": {"schema": {"type": "string"}}}},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/auth/oauth/poll": {
          "post": {
            "summary": "Ask how a sign-in goes",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ticket"}}}
            },
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SignInProgress"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/log/head": {
          "get": {
            "summary": "The signed state of the log of key bindings",
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LogHead"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/log/entries": {
          "get": {
            "summary": "Entries of the log, oldest first",
            "parameters": [
              {"name": "start", "in": "query", "required": false, "schema": {"type": "integer", "minimum": 0}},
              {
                "name": "limit",
                "in": "query",
                "required": false,
                "schema": {"type": "integer", "minimum": 1, "maximum": 200}
              }
            ],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LogPage"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/log/proof": {
          "get": {
            "summary": "The newest entry about an agent, and the proof that it is in the log",
            "parameters": [
              {"name": "did", "in": "query", "required": true, "schema": {"type": "string"}},
              {"name": "kind", "in": "query", "required": false, "schema": {"enum": ["registration", "home", "succession", "revocation"]}}
            ],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LogProof"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        },
        "/v1/log/consistency": {
          "get": {
            "summary": "Proof that the log of one size begins that of a later one",
            "parameters": [
              {"name": "from", "in": "query", "required": true, "schema": {"type": "integer", "minimum": 0}},
              {"name": "to", "in": "query", "required": true, "schema": {"type": "integer", "minimum": 0}}
            ],
            "responses": {
              "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LogConsistency"}}}
              },
              "4XX": {"$ref": "#/components/responses/problem"},
              "5XX": {"$ref": "#/components/responses/problem"}
            }
          }
        }
        """#
}

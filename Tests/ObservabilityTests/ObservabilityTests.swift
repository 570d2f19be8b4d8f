// Tests of Observability

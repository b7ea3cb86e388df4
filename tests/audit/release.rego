# A policy for a release, as a cluster's admission may ask it. The input: {"digest": "sha256:…", "statements": [...]},
# with the payloads of the verified envelopes of one image. An empty set lets the release pass.
package release

import rego.v1

summaries contains one if {
	some one in input.statements
	one.predicateType == "https://slsa.dev/verification_summary/v1"
}

results contains one if {
	some one in input.statements
	one.predicateType == "https://in-toto.io/attestation/test-result/v0.1"
}

about_this_image(one) if {
	some subject in one.subject
	sprintf("sha256:%s", [subject.digest.sha256]) == input.digest
}

deny contains "the verification summary is missing" if count(summaries) == 0

deny contains "the test result is missing" if count(results) == 0

deny contains "the verification summary is about another image" if {
	some one in summaries
	not about_this_image(one)
}

deny contains "the test result is about another image" if {
	some one in results
	not about_this_image(one)
}

deny contains "the verification did not pass" if {
	some one in summaries
	not one.predicate.verificationResult == "PASSED"
}

deny contains "the release was not promoted" if {
	some one in summaries
	not promoted(one)
}

# A test without a result has not passed either.
deny contains "the tests did not pass" if {
	some one in results
	not passed(one)
}

promoted(one) if {
	some level in one.predicate.verifiedLevels
	level == "DEPLOYMENT_PROMOTED"
}

passed(one) if one.predicate.result in {"PASSED", "WARNED"}

# As in Conforma: the first entry of the configuration names the test.
warn contains sprintf("test %s passed with warnings", [one.predicate.configuration[0].name]) if {
	some one in results
	one.predicate.result == "WARNED"
}

package spec

import (
	"net/url"
	"slices"
)

// The part of SARIF 2.1.0 that a list of errors needs.
type (
	sarif struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndColumn   int `json:"endColumn"`
	}
)

func sarifLog(list []*Error) sarif {
	rules := []sarifRule{}
	for _, e := range list {
		if id := (sarifRule{string(e.Rule)}); !slices.Contains(rules, id) {
			rules = append(rules, id)
		}
	}
	results := make([]sarifResult, len(list))
	for i, e := range list {
		place := sarifPhysical{Artifact: sarifArtifact{(&url.URL{Path: e.File}).String()}}
		if e.Line > 0 {
			place.Region = &sarifRegion{e.Line, e.Column, e.Column + max(e.Length, 1)}
		}
		results[i] = sarifResult{
			RuleID: string(e.Rule), RuleIndex: slices.Index(rules, sarifRule{string(e.Rule)}), Level: severity(e),
			Message: sarifMessage{sentence(e)}, Locations: []sarifLocation{{place}},
		}
	}
	driver := sarifDriver{Name: "dayfly", InformationURI: "https://github.com/dayfly-io/dayfly", Rules: rules}
	return sarif{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{Tool: sarifTool{driver}, ColumnKind: "unicodeCodePoints", Results: results}},
	}
}

// href-counter fetches the page that the environment variable "url" names, counts the links on it and prints one line of
// JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// Report is what the program prints.
type Report struct {
	Page  Page  `json:"page"`
	Links Links `json:"links"`
}

// Page is the document that was fetched, after redirects.
type Page struct {
	URL   string `json:"url"`
	Title string `json:"title"`
}

// Links counts the <a href> of a page.
type Links struct {
	// To the page's own host.
	Internal int `json:"internal"`
	// To another host by http or https.
	External int `json:"external"`
	// mailto: and the like, and what is no URL.
	Other int `json:"other"`
}

func main() {
	address := os.Getenv("url")
	if address == "" {
		fmt.Fprintln(os.Stderr, `href-counter: set the environment variable "url" to the page to read`)
		os.Exit(2)
	}
	report, err := readPage(address)
	if err != nil {
		fmt.Fprintln(os.Stderr, "href-counter:", err)
		os.Exit(1)
	}
	line, err := json.Marshal(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, "href-counter:", err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}

func readPage(address string) (*Report, error) {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(address)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	return countLinks(response.Body, response.Request.URL)
}

// countLinks reads a page from body; links are relative to base.
func countLinks(body io.Reader, base *url.URL) (*Report, error) {
	document, err := html.Parse(body)
	if err != nil {
		return nil, err
	}
	report := &Report{Page: Page{URL: base.String()}}
	var visit func(node *html.Node)
	visit = func(node *html.Node) {
		if node.Type == html.ElementNode {
			switch node.Data {
			case "title":
				if report.Page.Title == "" {
					report.Page.Title = textOf(node)
				}
			case "a":
				for _, attribute := range node.Attr {
					if attribute.Key == "href" {
						report.Links.add(attribute.Val, base)
					}
				}
			}
		}
		for child := node.FirstChild; child != nil; child = child.NextSibling {
			visit(child)
		}
	}
	visit(document)
	return report, nil
}

func (links *Links) add(href string, base *url.URL) {
	target, err := base.Parse(strings.TrimSpace(href))
	switch {
	case err != nil || (target.Scheme != "http" && target.Scheme != "https"):
		links.Other++
	case target.Host == base.Host:
		links.Internal++
	default:
		links.External++
	}
}

func textOf(node *html.Node) string {
	text := ""
	for child := node.FirstChild; child != nil; child = child.NextSibling {
		if child.Type == html.TextNode {
			text += child.Data
		}
	}
	return strings.Join(strings.Fields(text), " ")
}

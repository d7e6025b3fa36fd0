// Command zincsearch serves the part of Elasticsearch's API that ZincSearch has, and that
// product-service uses, for tests: there is no Elasticsearch without a registry. It takes the
// address to listen on, and keeps its data in ZINC_DATA_PATH.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/zincsearch/zincsearch/pkg/config"
	"github.com/zincsearch/zincsearch/pkg/core"
	"github.com/zincsearch/zincsearch/pkg/handlers/document"
	"github.com/zincsearch/zincsearch/pkg/handlers/index"
	"github.com/zincsearch/zincsearch/pkg/handlers/search"
	"github.com/zincsearch/zincsearch/pkg/meta/elastic"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: zincsearch ADDRESS")
		os.Exit(2)
	}
	config.Global.TelemetryEnable = false
	if err := http.ListenAndServe(os.Args[1], routes()); err != nil {
		fmt.Fprintln(os.Stderr, "zincsearch:", err)
		os.Exit(1)
	}
}

// routes are those of ZincSearch's folder /es, without its users, at the paths that
// Elasticsearch has them at.
func routes() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), elasticProduct)
	r.GET("/", func(c *gin.Context) { c.JSON(http.StatusOK, elastic.NewESInfo(c)) })
	r.PUT("/:target", index.CreateES)
	r.DELETE("/:target", deleteIndex)
	r.GET("/_alias", index.GetESAliases)
	r.POST("/_aliases", index.AddOrRemoveESAlias)
	r.POST("/_bulk", document.ESBulk)
	// ZincSearch's refresh closes the index, whose writer may be lost with that. What is written
	// is found without one, a moment later.
	r.POST("/:target/_refresh", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{}) })
	r.POST("/:target/_search", resolveAlias, search.SearchDSL)
	return r
}

// elasticProduct adds the header by which Elasticsearch's clients know it.
func elasticProduct(c *gin.Context) { c.Header("X-Elastic-Product", "Elasticsearch") }

// resolveAlias does what ZincSearch's own IndexAliasMiddleware does, whose package does not
// build, as it embeds pages that the module does not have.
func resolveAlias(c *gin.Context) {
	for i, parameter := range c.Params {
		if indexes, ok := core.ZINC_INDEX_ALIAS_LIST.GetIndexesForAlias(parameter.Value); ok && parameter.Key == "target" && len(indexes) > 0 {
			c.Params[i].Value = strings.Join(indexes, ",")
		}
	}
}

// deleteIndex deletes an index in the background: to close one that was just searched may
// take ZincSearch forever. It closes the index itself, as ZincSearch would do so under the
// lock of the list of all indexes, for which its writer may wait.
func deleteIndex(c *gin.Context) {
	found, ok := core.GetIndex(c.Param("target"))
	if !ok {
		c.JSON(http.StatusNotFound, gin.H{"error": "no such index"})
		return
	}
	go func() {
		if err := errors.Join(found.Close(), core.DeleteIndex(found.GetName())); err != nil {
			fmt.Fprintln(os.Stderr, "zincsearch: delete index:", err)
		}
	}()
	c.JSON(http.StatusOK, gin.H{"acknowledged": true})
}

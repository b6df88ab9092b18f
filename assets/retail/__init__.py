"""An online shop: its invoice lines, the exchange rates of the ECB, and what people ask of both."""

from datetime import date

from lakehouse.tables import Daily, Monthly

DAILY = Daily(date(2010, 12, 1), "Europe/London")
MONTHLY = Monthly(date(2010, 12, 1), "Europe/London")
OWNER = "retail@example.com"
FIRST_QUESTION = """
    SELECT country,
           sum(revenue_gbp)::BIGINT AS revenue_gbp,
           sum(revenue_eur)::BIGINT AS revenue_eur,
           sum(units)::BIGINT AS units
    FROM marts.daily_sales GROUP BY country ORDER BY revenue_gbp DESC LIMIT 5
"""

"""Attacks from either side, bounded in time and on loopback: nobody takes the exporter down."""

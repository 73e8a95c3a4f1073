#!/usr/bin/perl

# "registry", "guard", and what services say of registries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new;

my $registry = 'registry consul http://127.0.0.1:8500';


# check(configuration of mesh, without state_path => 1): the first [emerg]

sub check {
    my ($mesh, %o) = @_;

    my $state = $o{state} // 'state_path %%DIR%%/state;';
    my ($code, $out) = $t->check_conf(
        "mesh {\nzone mesh:4m metrics=128k;\n$state\n$mesh\n}\n");

    return $code == 0 ? 'ok'
                      : $out =~ /\[emerg\] (?:\d+#\d+: )?(.*?)(?: in \S+:\d+)?$/m
                        ? $1 : $out;
}

sub accepted {
    my ($mesh, $name) = @_;
    is(check($mesh), 'ok', $name // $mesh);
}

sub refused {
    my ($mesh, $why, %o) = @_;
    is(check($mesh, %o), $why, "refused: $mesh");
}

accepted("$registry;");
accepted('registry consul http://127.0.0.1:8500 http://127.0.0.1:8501
                   unix:/run/consul.sock name=east discovery=all
                   max_services=100 max_watches=256 idle=1h protocol=dubbo;',
         'all parameters');
accepted('registry redis redis://127.0.0.1;', 'the default port');
accepted('registry redis redis://[::1]:6380/2;', 'IPv6, and a database');
accepted("$registry; registry redis redis://127.0.0.1:6379;", 'two kinds');
accepted("$registry; $registry name=other;", 'two of a kind');
accepted("$registry; service a registry=consul { }", 'a service of one');
accepted("$registry; service a registry=off { }", 'a service of none');
accepted("service a protocol=dubbo { }");
accepted("$registry; service a { provided_by b c; }");
accepted("guard $_;") for 'off', '1%', '100%', '30% min=5', '30% hold=1m',
                          '30% hold=0 min=1';

refused('registry nacos http://127.0.0.1;', 'invalid value "nacos" in '
        . '"registry" directive, it must be consul or redis');
refused('registry consul discovery=all;',
        '"registry consul" needs a URL as "http://..."');
refused('registry consul redis://127.0.0.1;', 'invalid parameter '
        . '"redis://127.0.0.1" in "registry consul", it is neither a URL as '
        . '"http://..." nor a known setting');
refused("$registry colour=red;", 'invalid parameter "colour=red" in '
        . '"registry consul", it is neither a URL as "http://..." nor a known '
        . 'setting');
refused("$registry discovery=some;", 'invalid value "discovery=some" in '
        . '"registry" directive, it must be lazy, all or listed');
refused("$registry max_watches=257;", 'invalid value "max_watches=257" in '
        . '"registry" directive, it must be a number from 1 to 256');
refused('registry redis redis://127.0.0.1 max_watches=8;', 'invalid parameter '
        . '"max_watches=8" in "registry redis", it is neither a URL as '
        . '"redis://..." nor a known setting');
refused("$registry idle=x;", 'invalid value "idle=x" in "registry" '
        . 'directive, it must be a time as "10m", at least 1s');
refused("$registry protocol=none;", 'unknown protocol "none" in "registry", '
        . 'known are: dubbo, bolt');
refused("$registry name=api;", 'invalid value "api" in "registry" directive, '
        . 'it must be a name of at most 64 letters, digits, "-", "_" and ".", '
        . 'but not "config", "api" or "off"');
refused("$registry name=;", 'invalid value "name=" in "registry" directive, '
        . 'it must be followed by a value');
refused("$registry; $registry;", 'there is another registry "consul", give '
        . 'one of them a "name="');
refused("$registry;", '"registry" needs a "state_path", where the agent keeps '
        . 'what it learns', state => '');
refused('registry consul http://127.0.0.1:99999;',
        'invalid port in "http://127.0.0.1:99999" of "registry consul"');
refused('registry consul https://127.0.0.1 certificate=a.pem;',
        '"certificate=a.pem" needs a "certificate_key="');

refused("$registry $_;", "\"$_\" in \"registry consul\" needs a URL as "
        . '"https://..."') for 'trusted_certificate=ca.pem', 'ssl_name=a',
                               'ssl_verify=off';
refused("$registry certificate=a.pem certificate_key=a.key;",
        '"certificate=a.pem" in "registry consul" needs a URL as '
        . '"https://..."');
refused('registry redis redis://127.0.0.1 ssl_verify=on;', '"ssl_verify=on" in '
        . '"registry redis" needs a URL as "rediss://..."');
refused('registry consul https://127.0.0.1 certificate_key=a.key;',
        '"certificate_key=a.key" needs a "certificate="');
refused("$registry ssl_verify=yes;", 'invalid value "ssl_verify=yes" in '
        . '"registry" directive, it must be on or off');
refused("$registry http://127.0.0.1:8500;", '"http://127.0.0.1:8500" in '
        . '"registry consul" is there twice, each URL must be another server');
refused("$registry HTTP://127.0.0.1:8500/;", '"http://127.0.0.1:8500" in '
        . '"registry consul" is there twice, each URL must be another server');
refused('registry redis unix:/a.sock unix:/a.sock;', '"unix:/a.sock" in '
        . '"registry redis" is there twice, each URL must be another server');
refused("$registry idle=$_;", "invalid value \"idle=$_\" in \"registry\" "
        . 'directive, it must be a time as "10m", at least 1s')
    for qw(0 500ms);
refused("$registry name=" . 'x' x 65 . ';', 'invalid value "' . 'x' x 65
        . '" in "registry" directive, it must be a name of at most 64 letters, '
        . 'digits, "-", "_" and ".", but not "config", "api" or "off"');
refused('registry redis redis://127.0.0.1/0?password=secret;',
        'invalid URL "redis://127.0.0.1/0?..." in "registry redis", it must '
        . 'not have parameters');

refused('guard 0%;', 'invalid value "0%" in "guard" directive, it must be a '
        . 'share from 1% to 100%, or "off"');
refused('guard 50;', 'invalid value "50" in "guard" directive, it must be a '
        . 'share from 1% to 100%, or "off"');
refused('guard 50% max=1;', 'invalid value "max=1" in "guard" directive, it '
        . 'must be min=NUMBER or hold=TIME');
refused('guard 50% hold=x;', 'invalid value "hold=x" in "guard" directive, it '
        . 'must be min=NUMBER or hold=TIME');
refused('guard 50%; guard off;', '"guard" directive is duplicate');

refused("$registry; service a registry=redis { }", 'service "a" names registry '
        . '"redis" that no "registry" declares');
refused("$registry; service a registry=, { }", 'invalid value "registry=," in '
        . '"service" directive, it must be registry=NAME[,NAME] or '
        . 'protocol=NAME');
refused("service a protocol=none { }", 'unknown protocol "none" in "service", '
        . 'known are: dubbo, bolt');
refused('service a { provided_by b; }',
        '"provided_by" in service "a" needs a "registry consul" that is '
        . 'asked for it');
refused('registry redis redis://127.0.0.1; service a { provided_by b; }',
        '"provided_by" in service "a" needs a "registry consul" that is '
        . 'asked for it');
refused("$registry; registry redis redis://127.0.0.1; "
        . "service a registry=$_ { provided_by b; }",
        '"provided_by" in service "a" needs a "registry consul" that is '
        . 'asked for it') for 'off', 'redis';
accepted("$registry name=c; registry redis redis://127.0.0.1; "
         . 'service a registry=redis,c { provided_by b; }');
refused(join('; ', map({ "$registry name=r$_" } 1 .. 33)) . ';',
        'there are more than 32 "registry" directives');
accepted(join('; ', map({ "$registry name=r$_" } 1 .. 32)) . ';',
         '32 registries');
refused("$registry; service a { provided_by b,c; }", 'invalid value "b,c" in '
        . '"provided_by" directive, it must be names of applications');

ok(!-e $t->dir . '/state', 'a test of a configuration makes no directory');

$t->done;

#!/usr/bin/perl

# Random writes, good and bad: a dry run tells what the write then does and
# does nothing itself; going back to a revision gives what was read at it;
# what was exported can be imported where there is nothing.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use Mesh::Calls;
use Mesh::Test;

my $writes = $ENV{TEST_MESH_LONG} ? 3000 : 400;
my $seed = $ENV{TEST_MESH_SEED} // time;

srand $seed;

my $t = Mesh::Test->new(timeout => 600);
my $json = JSON::PP->new->ascii->canonical->allow_nonref;

$t->write_conf(conf(
    service => 'endpoint 127.0.0.1:1; endpoint 127.0.0.1:2;',
    mesh => 'state_path %%DIR%%/state; '
            . 'route fixed { match method=fixed; deny; }',
    web => 'location /api/ { mesh_api write=on; client_max_body_size 8m; }'));
$t->run;

# members of objects are in any order

sub api {
    my ($method, $path, $body, %headers) = @_;

    if (ref $body) {
        $headers{'Content-Type'} = 'application/json';
        $body = JSON::PP->new->utf8->encode($body);
    }

    return $t->http($method, "/api/1/$path", $body, headers => \%headers);
}

sub enc {
    my ($s) = @_;

    utf8::encode($s);
    $s =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/age;

    return $s;
}


# -- what is written

sub one { $_[int rand @_] }
sub maybe { rand() < $_[0] }

# some(name => value, ...): a few of them; a value is called when it is code

sub some {
    my ($share, %of) = @_;

    return map { ($_ => ref $of{$_} eq 'CODE' ? $of{$_}->() : $of{$_}) }
           grep { maybe($share) } sort keys %of;
}

sub service { one('demo.Echo', 'demo.A', 'g/demo.B:1.0', 'demo.Grün', '名.前') }
sub text { one('', 'a', 'ä"\\', "\t\x{1}", '你好', '🙂' x 3, 'x' x 50) }
sub until_then { one('2090-01-01T00:00:00Z', '2091-02-03T04:05:06.007Z') }

sub endpoint_id {
    return one('127.0.0.1:1', 'ид', map { "10.0.0.$_:1" } 1 .. 3);
}

sub labels { return { some(0.5, v => \&text, 'ключ' => '2', z => 'b') } }

sub service_spec {
    return { some(0.4, balancer => sub { one(qw(random least_request hash x)) },
                  hash => sub { one('attachment.u', 'method') },
                  protocol => sub { one(qw(dubbo bolt none)) }),
             some(0.02, unknown => 1) };
}

sub endpoint_spec {
    return { maybe(0.95) ? (address => '10.0.0.' . one(1 .. 3)) : (),
             maybe(0.9) ? (port => 1) : (),
             some(0.2, weight => sub { one(0, 1, 100, 1000000) },
                  labels => \&labels, zone => 'b', id => \&endpoint_id,
                  backup => JSON::PP::true, down => JSON::PP::false,
                  max_fails => 3, fail_timeout => '5s', slow_start => 250),
             some(0.01, weight => -1, labels => [], unknown => undef) };
}

sub override_spec {
    return { some(0.4, weight => sub { one(0, 5) }, drain => JSON::PP::true,
                  disabled => JSON::PP::true, reason => \&text,
                  until => \&until_then),
             some(0.03, until => 'then', ttl => -1) };
}

sub pattern {
    my ($value) = @_;
    return one($value, "$value*", "*$value", "~^$value", undef,
               [$value, "other*"]);
}

sub match {
    return { some(0.25, service => sub { pattern(service()) },
                  method => sub { pattern('say') },
                  interface => sub { pattern('demo.Echo') },
                  group => sub { pattern('g') },
                  version => sub { one('1.0', undef) },
                  'attachment.tag' => sub { pattern('grün') },
                  caller => sub { one('10.0.0.0/8', '::1', ['1.2.3.4']) },
                  app => 'shop', protocol => 'dubbo'),
             maybe(0.2) ? (percent => one(0, 5, 99.5, 100),
                           by => 'attachment.tag') : (),
             some(0.02, method => '~(', percent => 101, nothing => 'x') };
}

sub target {
    return { some(0.5, service => \&service, labels => \&labels,
                  weight => sub { one(0, 5, 100) }),
             some(0.1, fallback => sub { return { labels => labels() } },
                  rewrite => sub { one(['version'], [qw(version group)]) }) };
}

sub route_spec {
    return {
        some(0.3, priority => sub { one(-5, 0, 7) }),
        maybe(0.9) ? (match => maybe(0.8) ? match() : [ match(), match() ])
                   : (),
        maybe(0.3) ? (deny => text())
                   : (to => maybe(0.5) ? target() : [ target(), target() ]),
        some(0.1, timeout => sub { one('200ms', '2s') }, tries => 2,
             hash => 'attachment.tag', set => sub { return {
                 'attachment.x' => 'ü' } },
             remove => sub { ['attachment.y'] }, unknown => 1),
    };
}

sub patch {
    my ($spec) = @_;

    for my $name (keys %$spec) {
        $spec->{$name} = undef if maybe(0.2);
    }

    return maybe(0.02) ? [] : $spec;
}

sub put_patch_delete {
    my ($path, $spec, $force) = @_;
    my $kind = rand;

    return [ 'PUT', $path, $spec->() ] if $kind < 0.5;
    return [ 'PATCH', $path, patch($spec->()) ] if $kind < 0.8;
    return [ 'DELETE', $path . ($force && maybe(0.5) ? '?force=1' : '') ];
}

sub random_write {
    my $service = 'services/' . enc(service());
    my $endpoint = "$service/endpoints/" . enc(endpoint_id());

    return one(
        sub { put_patch_delete($service, \&service_spec, 1) },
        sub { [ 'PUT', "$service/endpoints",
                [ map { endpoint_spec() } 1 .. int rand 4 ] ] },
        sub { [ 'POST', "$service/endpoints", endpoint_spec() ] },
        sub { put_patch_delete($endpoint, \&endpoint_spec) },
        sub { put_patch_delete("$endpoint/override", \&override_spec) },
        sub { put_patch_delete("$endpoint/override", \&override_spec) },
        sub { [ one('POST', 'DELETE'), "$endpoint/drain" ] },
        map { sub { put_patch_delete(
            'routes/' . enc(one('r', 'ручка', '道', 'a/b', 'fixed')),
            \&route_spec) } } 1 .. 3,
    )->();
}

sub random_request {
    my ($now) = @_;

    return random_write() if maybe(0.7);

    if (maybe(0.7)) {
        return [ 'POST', 'batch', { ops => [ map {
            my ($method, $path, $body) = @$_;
            { method => $method, path => $path,
              defined $body ? (body => $body) : () };
        } map { random_write() } 1 .. 1 + rand 4 ] } ];
    }

    # some of what there is, with changes

    my @items = map { { path => $_, spec => { %{ $now->{$_} } } } }
                grep { maybe(0.8) } sort keys %$now;

    $_->{spec}{priority} = 3 for grep { $_->{path} =~ /^routes/ } @items;

    return [ 'PUT', 'snapshot' . (maybe(0.5) ? '?prune=1' : ''),
             { items => \@items } ];
}


# -- what is read

sub now {
    my $r = api('GET', 'snapshot');
    die "snapshot: $r->{status}" unless $r->{status} == 200;

    return ({ map { ($_->{path} => $_->{spec}) } @{ $r->{json}{items} } },
            $r->{json}{revision}, $r->{json}{items});
}

sub changes {
    my ($before, $after) = @_;

    return { map { ($_ => [ $before->{$_}, $after->{$_} ]) }
             grep { $json->encode([ $before->{$_} ])
                    ne $json->encode([ $after->{$_} ]) }
             keys %{ { %$before, %$after } } };
}

sub told {
    my ($r) = @_;
    return { map { ($_->{path} => [ @$_{qw(before after)} ]) }
             @{ $r->{json}{diff} // [] } };
}

sub same { $json->encode($_[0]) eq $json->encode($_[1]) }

# what of a request's two answers and of the table is not as it must be

sub wrong {
    my ($dry, $wet, $before, $between, $after, @revisions) = @_;
    my @wrong;

    push @wrong, 'a dry run changes something'
        unless same($before, $between) && $revisions[0] == $revisions[1];

    if ($wet->{status} >= 300) {
        push @wrong, "dry: $dry->{status}" if $dry->{status} != $wet->{status};
        push @wrong, 'another error'
            unless same(map { [ @{ $_->{json}{error} }{qw(code pointer text)} ] }
                        $dry, $wet);
        push @wrong, 'refused, but something changed'
            unless same($before, $after);
        return @wrong;
    }

    push @wrong, "dry: $dry->{status}" if $dry->{status} != 200;
    push @wrong, 'another "changed"'
        unless same($dry->{json}{changed}, $wet->{json}{changed});
    push @wrong, 'another diff: ' . $json->encode(told($dry)) . ' and not '
                 . $json->encode(changes($before, $after))
        unless same(told($dry), changes($before, $after));
    push @wrong, 'a revision for nothing, or none'
        if !$wet->{json}{changed} != ($revisions[1] == $revisions[2]);

    return @wrong;
}


# -- writes

my (%at, %statuses, $failed);

my ($before, $revision) = now();
$at{$revision} = $before;

for my $n (1 .. $writes) {
    my $request = random_request($before);
    my ($method, $path, $body) = @$request;
    my %headers = maybe(0.05) ? ('If-None-Match' => '*')
                  : maybe(0.05) ? ('If-Match' => '*') : ();

    my $and = $path =~ /\?/ ? '&' : '?';
    my $dry = api($method, "$path${and}dry_run=1", $body, %headers);
    my ($between, $still) = now();
    my $wet = api($method, $path, $body, %headers);
    my ($after, $then) = now();

    $statuses{ $wet->{status} }++;

    my @wrong = wrong($dry, $wet, $before, $between, $after, $revision, $still,
                      $then);
    push @wrong, "an answer of $wet->{status}" if $wet->{status} >= 500;

    if (@wrong && $failed++ < 5) {
        diag("seed $seed, write $n: "
             . $json->encode([ @$request, \%headers ]));
        diag("  $_") for @wrong, map { s/([^ -~])/sprintf '\\x%02x', ord $1/ger }
                                 $dry->{content}, $wet->{content};
    }

    ($before, $revision) = ($after, $then);
    $at{$revision} = $after;
}

ok(!$failed, "a dry run of $writes writes told what they did")
    or diag("$failed did not");
cmp_ok($statuses{200} + $statuses{201}, '>', $writes / 5, 'many were good');
cmp_ok($statuses{422}, '>', 0, '... and some not');
note(join ', ', map { "$_: $statuses{$_}" } sort keys %statuses);


# -- there and back: the export goes where nothing is left

my ($now, undef, $items) = now();

for my $n (1 .. 3) {
    is(api('PUT', 'snapshot?prune=1', { items => [] })->{status}, 200, 'away');
    is_deeply((now())[0], {}, '... with all of it');

    my $r = api('PUT', 'snapshot', { items => $items });
    is($r->{status}, 200, 'and again')
        or diag($r->{content}, $json->encode($items));
    ok(same((now())[2], $items), '... as it was, in the same order');
}


# -- back to what was

for (1 .. 12) {
    my ($was, $revision) = now();
    my $r = api('GET', 'revisions');
    my @known = grep { $at{$_} && $_ != $revision }
                map { $_->{revision} } @{ $r->{json}{items} };

    cmp_ok(scalar @known, '>', 2, 'there are revisions to go back to')
        or last;

    my $to = one(@known);
    my $there = api('GET', "revisions/$to");
    my $dry = api('POST', "revisions/$to/rollback?dry_run=1");

    ok(same({ map { ($_->{path} => $_->{spec}) } @{ $there->{json}{items} } },
            $at{$to}), "revision $to is as it was read");
    ok(same(told($dry), changes($was, $at{$to})), '... a dry run says so');
    ok(same($was, (now())[0]), '... and does nothing');

    $r = api('POST', "revisions/$to/rollback");
    is($r->{status}, 200, "back to $to") or diag($r->{content});
    ok(same((now())[0], $at{$to}), '... and it is so');
    ok(same(told($r), told($dry)), '... as was told');
    ok(same($r->{json}{changed}, $dry->{json}{changed}), '... the same');

    $at{ $r->{json}{revision} } = $at{$to};
}

$t->done;

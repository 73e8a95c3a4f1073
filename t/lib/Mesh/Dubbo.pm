package Mesh::Dubbo;

# Dubbo frames for the tests: built from and taken apart into plain Perl data.
#
# Values: a plain scalar is a string, undef is null, a hash or array reference
# is an untyped map or list, a reference to a scalar is an int (\ 42).
# Ids are signed 64-bit numbers, as in Java.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(
    frame request response heartbeat ack readonly parse
    encode decode hessian unhessian jsonb unjsonb
);

use constant {
    MAGIC     => 0xdabb,
    HEADER    => 16,

    REQUEST   => 0x80,
    TWOWAY    => 0x40,
    EVENT     => 0x20,

    HESSIAN2  => 2,
    FASTJSON2 => 23,

    OK        => 20,
};

my $next_id = 1;


###############################################################################
# frames


# any header before any body: for frames no helper below makes

sub frame {
    my (%o) = @_;

    my $body = $o{body} // '';

    return pack('nCCQ>N', $o{magic} // MAGIC, $o{flags} // 0,
                $o{status} // 0, $o{id} // 0, $o{length} // length $body)
           . $body;
}


# request(id, service, version, group, method, args, descriptor, attachments,
#         oneway, serialization, dubbo, bare, body)
#
# Attachments are Java's (path, interface, version, group) and those given;
# bare => 1 leaves Java's away, attachments => undef sends null.

sub request {
    my (%o) = @_;

    my $ser = $o{serialization} // HESSIAN2;
    my $flags = REQUEST | ($o{oneway} ? 0 : TWOWAY) | $ser;

    return frame(flags => $flags, id => $o{id} // $next_id++,
                 body => $o{body} // request_body($ser, %o));
}


sub request_body {
    my ($ser, %o) = @_;

    my $version = exists $o{version} ? $o{version} : '0.0.0';
    my @args = @{ $o{args} // [] };
    my $attachments;

    unless (exists $o{attachments} && !defined $o{attachments}) {
        my %java;

        unless ($o{bare}) {
            %java = (path => $o{service}, interface => $o{service},
                     version => $version // '0.0.0');
            $java{group} = $o{group} if defined $o{group};
        }

        $attachments = { %java, %{ $o{attachments} // {} } };
    }

    return join '', map { encode($ser, $_) }
        exists $o{dubbo} ? $o{dubbo} : '2.0.2', $o{service}, $version,
        $o{method} // 'sayHello', $o{descriptor} // descriptor(@args),
        @args, $attachments;
}


sub descriptor {
    my %class = ('' => 'Ljava/lang/String;', SCALAR => 'I',
                 REF => 'I', HASH => 'Ljava/util/Map;',
                 ARRAY => 'Ljava/util/List;');

    return join '', map { $class{ref $_} } @_;
}


# response(id, status, value, exception, error, attachments, serialization,
#          event, body)
#
# With status 20 the body is the value (null when not given) or an exception's
# text, with the attachments of a 2.0.2 caller unless attachments => undef;
# with another status it is the text "error".

sub response {
    my (%o) = @_;

    my $ser = $o{serialization} // HESSIAN2;
    my $status = $o{status} // OK;
    my $body = $o{body};

    if (!defined $body && $status != OK) {
        $body = encode($ser, $o{error} // "status $status");

    } elsif (!defined $body) {
        my $att = exists $o{attachments} ? $o{attachments}
                                         : { dubbo => '2.0.2' };
        my $flag = defined $o{exception} ? 0 : defined $o{value} ? 1 : 2;

        $body = flag($ser, $flag + ($att ? 3 : 0));
        $body .= exception($ser, $o{exception}) if $flag == 0;
        $body .= encode($ser, $o{value}) if $flag == 1;
        $body .= encode($ser, $att) if $att;
    }

    return frame(flags => $ser | ($o{event} ? EVENT : 0), id => $o{id},
                 status => $status, body => $body);
}


sub flag {
    my ($ser, $flag) = @_;

    return $ser == FASTJSON2 ? pack('NCC', 2, 0xbd, $flag)
                             : pack('C', 0x90 + $flag);
}


sub exception {
    my ($ser, $text) = @_;

    return encode($ser, { detailMessage => $text }) if $ser == FASTJSON2;

    return 'C' . hessian('java.lang.RuntimeException') . "\x91"
           . hessian('detailMessage') . "\x60" . hessian($text);
}


sub heartbeat {
    my (%o) = @_;

    my $ser = $o{serialization} // HESSIAN2;

    return frame(flags => REQUEST | TWOWAY | EVENT | $ser,
                 id => $o{id} // $next_id++,
                 body => $o{body} // encode($ser, undef));
}


sub ack {
    my (%o) = @_;

    my $ser = $o{serialization} // HESSIAN2;

    return frame(flags => EVENT | $ser, id => $o{id}, status => OK,
                 body => $o{body} // encode($ser, undef));
}


# what a provider answers to a request or a heartbeat

sub reply {
    my ($f, %o) = @_;
    return response(id => $f->{id}, serialization => $f->{ser}, %o);
}


sub acknowledge {
    my ($f) = @_;

    return ack(id => $f->{id}, body => $f->{body},
               serialization => $f->{ser});
}


sub id_of { unpack 'x4q>', $_[0] }


sub readonly {
    my (%o) = @_;

    my $ser = $o{serialization} // HESSIAN2;

    return frame(flags => REQUEST | EVENT | $ser, id => $o{id} // 0,
                 body => $o{body} // encode($ser, 'R'));
}


# parse(bytes) returns a reference to the complete frames and, in list context,
# what is left.
# A frame: raw id flags status ser length body kind, and by kind
#   request, oneway      dubbo service version method descriptor args
#                        attachments
#   response             flag value exception attachments, or error
#   heartbeat ack readonly event
#   garbage              no magic: all that is left is its raw
# and "damaged" with the reason where the body cannot be read.

sub parse {
    my ($bytes) = @_;

    my @frames;
    my $at = 0;

    while (length($bytes) - $at >= HEADER) {
        my ($magic, $flags, $status, $id, $length) =
            unpack 'nCCq>N', substr $bytes, $at, HEADER;

        if ($magic != MAGIC) {
            push @frames, { kind => 'garbage', raw => substr $bytes, $at };
            return wantarray ? (\@frames, '') : \@frames;
        }

        last if length($bytes) - $at < HEADER + $length;

        my $f = { raw => substr($bytes, $at, HEADER + $length),
                  id => $id, flags => $flags, status => $status,
                  ser => $flags & 0x1f, length => $length,
                  body => substr($bytes, $at + HEADER, $length) };

        $at += HEADER + $length;

        $f->{kind} = kind($f);

        eval { open_body($f); 1 }
            or $f->{damaged} = $@ =~ s/ at \S+ line .*//sr;

        push @frames, $f;
    }

    return wantarray ? (\@frames, substr $bytes, $at) : \@frames;
}


sub kind {
    my ($f) = @_;

    my $request = $f->{flags} & REQUEST;

    if ($f->{flags} & EVENT) {
        return 'ack' unless $request;
        return 'heartbeat' if $f->{flags} & TWOWAY;

        my $text = eval { decode($f->{ser}, \ (my $b = $f->{body})) };
        return defined $text && $text eq 'R' ? 'readonly' : 'event';
    }

    return 'response' unless $request;
    return $f->{flags} & TWOWAY ? 'request' : 'oneway';
}


sub open_body {
    my ($f) = @_;

    my $rest = $f->{body};
    my $state = {};
    my $next = sub { decode($f->{ser}, \$rest, $state) };

    if ($f->{kind} =~ /^(?:request|oneway)$/) {
        $f->{$_} = $next->() for qw(dubbo service version method descriptor);

        my $n = () = ($f->{descriptor} // '')
            =~ /\[*(?:L[^;]*;|[VZBCDFIJS])/g;

        $f->{args} = [];
        push @{ $f->{args} }, $next->() for 1 .. $n;
        $f->{attachments} = $next->();

    } elsif ($f->{kind} eq 'response' && $f->{status} == OK) {
        my $flag = $f->{flag} = $next->();

        die "result flag\n" if !defined $flag || $flag !~ /^[0-5]$/;

        $f->{value} = undef;
        $f->{exception} = $next->() if $flag % 3 == 0;
        $f->{value} = $next->() if $flag % 3 == 1;
        $f->{attachments} = $next->() if $flag >= 3;

    } elsif ($f->{kind} eq 'response') {
        $f->{error} = $next->();

    } else {
        return;
    }

    die length($rest) . " bytes left over\n" if length $rest;
}


###############################################################################
# values


sub encode {
    my ($ser, $value) = @_;

    return hessian($value) if $ser == HESSIAN2;

    die "no encoder of serialization $ser" if $ser != FASTJSON2;

    my $json = jsonb($value);

    return pack('N', length $json) . $json;
}


# decode(ser, \bytes, state) takes one value off the bytes; state keeps
# Hessian's tables from one value of a body to the next

sub decode {
    my ($ser, $in, $state) = @_;

    return unhessian($in, $state) if $ser == HESSIAN2;

    die "no decoder of serialization $ser\n" if $ser != FASTJSON2;

    # each value has its length, so one that is not understood here (an
    # object, a long[]) harms no other

    my $json = take($in, unpack 'N', take($in, 4));
    my $rest = $json;
    my $value = eval { [ unjsonb(\$rest) ] };

    return $value->[0] if $value && !length $rest;
    return { jsonb => unpack 'H*', $json };
}


sub take {
    my ($in, $n) = @_;

    die "truncated\n" if $n > length $$in;

    return substr $$in, 0, $n, '';
}


# Java's strings are UTF-16 and Hessian writes each unit on its own, so what
# is outside of the BMP becomes two units of three bytes (CESU-8)

sub units {
    my ($text) = @_;

    return $text if $text !~ /[^\x00-\x{ffff}]/;

    return join '', map {
        my $c = ord $_;
        $c < 0x10000 ? $_
                     : chr(0xd800 + (($c - 0x10000) >> 10))
                       . chr(0xdc00 + (($c - 0x10000) & 0x3ff))
    } split //, $text;
}


sub bytes_of_units {
    my ($units) = @_;

    return join '', map { pack 'C*', unit(ord $_) } split //, $units
        if $units =~ /[^\x00-\x7f]/;

    utf8::downgrade($units);

    return $units;
}


sub unit {
    my ($c) = @_;

    return $c if $c < 0x80;
    return 0xc0 | $c >> 6, 0x80 | $c & 0x3f if $c < 0x800;
    return 0xe0 | $c >> 12, 0x80 | $c >> 6 & 0x3f, 0x80 | $c & 0x3f;
}


sub hessian {
    my ($value) = @_;

    return 'N' unless defined $value;

    if (ref $value eq 'HASH') {
        return join '', 'H',
            (map { hessian($_), hessian($value->{$_}) } sort keys %$value),
            'Z';
    }

    if (ref $value eq 'ARRAY') {
        return join '', 'X', hessian_int(scalar @$value),
            map { hessian($_) } @$value;
    }

    return hessian_int($$value) if ref $value;

    my $units = no_surrogates($value);
    my $out = '';

    while (length $units > 0x8000) {
        $out .= pack('Cn', 0x52, 0x8000)
                . bytes_of_units(substr $units, 0, 0x8000, '');
    }

    my $n = length $units;

    $out .= $n < 32   ? pack('C', $n)
          : $n < 1024 ? pack('CC', 0x30 + ($n >> 8), $n & 0xff)
                      : pack('Cn', 0x53, $n);

    return $out . bytes_of_units($units);
}


# chr() of a surrogate warns only when printed, never when counted

sub no_surrogates {
    no warnings 'surrogate';
    return units($_[0]);
}


sub hessian_int {
    my ($i) = @_;

    return pack 'C', 0x90 + $i if $i >= -16 && $i <= 47;
    return pack 'CC', 0xc8 + ($i >> 8 & 0xff) - ($i < 0 ? 256 : 0), $i & 0xff
        if $i >= -2048 && $i <= 2047;
    return 'I' . pack 'l>', $i;
}


sub unhessian {
    my ($in, $state) = @_;

    $state //= {};
    local $state->{depth} = ($state->{depth} // 0) + 1;
    die "too deep\n" if $state->{depth} > 100;

    my $tag = ord take($in, 1);

    return undef if $tag == 0x4e;
    return 1 if $tag == 0x54;
    return 0 if $tag == 0x46;

    return $tag - 0x90 if $tag >= 0x80 && $tag <= 0xbf;
    return (($tag - 0xc8) << 8 | ord take($in, 1)) if $tag >= 0xc8
                                                   && $tag <= 0xcf;
    return ($tag - 0xc8) * 256 + ord take($in, 1)
        if $tag >= 0xc0 && $tag <= 0xc7;
    return ($tag - 0xd4) * 65536 + unpack 'n', take($in, 2)
        if $tag >= 0xd0 && $tag <= 0xd7;
    return unpack 'l>', take($in, 4) if $tag == 0x49 || $tag == 0x59;

    return $tag - 0xe0 if $tag >= 0xd8 && $tag <= 0xef;
    return ($tag - 0xf8) * 256 + ord take($in, 1) if $tag >= 0xf0;
    return ($tag - 0x3c) * 65536 + unpack 'n', take($in, 2)
        if $tag >= 0x38 && $tag <= 0x3f;
    return unpack 'q>', take($in, 8) if $tag == 0x4c || $tag == 0x4a;

    return unpack 'd>', take($in, 8) if $tag == 0x44;
    return $tag - 0x5b if $tag == 0x5b || $tag == 0x5c;
    return unpack 'c', take($in, 1) if $tag == 0x5d;
    return unpack 's>', take($in, 2) if $tag == 0x5e;
    return unpack('l>', take($in, 4)) / 1000 if $tag == 0x5f;
    return 60_000 * unpack 'l>', take($in, 4) if $tag == 0x4b;

    return unhessian_string($in, $tag) if $tag <= 0x1f || $tag == 0x52
        || $tag == 0x53 || ($tag >= 0x30 && $tag <= 0x33);
    return unhessian_binary($in, $tag) if ($tag >= 0x20 && $tag <= 0x2f)
        || ($tag >= 0x34 && $tag <= 0x37) || $tag == 0x41 || $tag == 0x42;

    return unhessian_container($in, $state, $tag);
}


sub unhessian_string {
    my ($in, $tag) = @_;

    my $text = '';

    for ( ;; ) {
        my $n = $tag <= 0x1f ? $tag
              : $tag >= 0x30 && $tag <= 0x33
                             ? ($tag - 0x30) << 8 | ord take($in, 1)
              : $tag == 0x52 || $tag == 0x53 ? unpack 'n', take($in, 2)
              : die sprintf "no string chunk: %02x\n", $tag;

        if ($n <= length $$in && substr($$in, 0, $n) !~ /[^\x00-\x7f]/) {
            $text .= take($in, $n);
        } else {
            $text .= take_unit($in) for 1 .. $n;
        }

        last if $tag != 0x52;
        $tag = ord take($in, 1);
    }

    return joined($text);
}


sub joined {
    my ($text) = @_;

    return $text =~ s{([\x{d800}-\x{dbff}])([\x{dc00}-\x{dfff}])}
                     {chr(0x10000 + ((ord($1) - 0xd800) << 10)
                                  + (ord($2) - 0xdc00))}ger;
}


sub take_unit {
    my ($in) = @_;

    my $c = ord take($in, 1);

    return chr $c if $c < 0x80;

    my ($more, $bits) = $c >> 5 == 6 ? (1, $c & 0x1f)
                      : $c >> 4 == 14 ? (2, $c & 0x0f)
                      : die "bad utf-8\n";

    $bits = $bits << 6 | ord(take($in, 1)) & 0x3f for 1 .. $more;

    return chr $bits;
}


sub unhessian_binary {
    my ($in, $tag) = @_;

    my $data = '';

    for ( ;; ) {
        my $n = $tag >= 0x20 && $tag <= 0x2f ? $tag - 0x20
              : $tag >= 0x34 && $tag <= 0x37
                             ? ($tag - 0x34) << 8 | ord take($in, 1)
              : $tag == 0x41 || $tag == 0x42 ? unpack 'n', take($in, 2)
              : die sprintf "no binary chunk: %02x\n", $tag;

        $data .= take($in, $n);
        return $data if $tag != 0x41;
        $tag = ord take($in, 1);
    }
}


# a reference comes back as { ref => n }, so that a cycle stays printable

sub unhessian_container {
    my ($in, $state, $tag) = @_;

    my $next = sub { unhessian($in, $state) };
    my $more = sub {
        return 1 if ord(substr $$in, 0, 1) != 0x5a || !length $$in;
        take($in, 1);
        return 0;
    };
    my $type = sub {
        my $t = $next->() // die "no type\n";
        return $t =~ /^\d+$/ ? $state->{types}[$t]
                             : (push(@{ $state->{types} }, $t), $t)[1];
    };

    return { ref => $next->() } if $tag == 0x51;

    if ($tag == 0x43) {
        my $class = { name => $next->(), fields => [] };
        push @{ $class->{fields} }, $next->() for 1 .. $next->();
        push @{ $state->{classes} }, $class;
        return $next->();
    }

    if ($tag == 0x4f || ($tag >= 0x60 && $tag <= 0x6f)) {
        my $n = $tag == 0x4f ? $next->() : $tag - 0x60;
        my $class = $state->{classes}[$n] // die "no class $n\n";
        my %object = (class => $class->{name});
        $object{$_} = $next->() for @{ $class->{fields} };
        return \%object;
    }

    if ($tag == 0x48 || $tag == 0x4d) {
        my %map;
        $type->() if $tag == 0x4d;
        while ($more->()) {
            my $key = $next->() // '';
            $map{$key} = $next->();
        }
        return \%map;
    }

    my @list;

    if ($tag == 0x55 || $tag == 0x57) {
        $type->() if $tag == 0x55;
        push @list, $next->() while $more->();
        return \@list;
    }

    my $n = $tag == 0x56 ? ($type->(), $next->())[1]
          : $tag == 0x58 ? $next->()
          : $tag >= 0x70 && $tag <= 0x77 ? ($type->(), $tag - 0x70)[1]
          : $tag >= 0x78 && $tag <= 0x7f ? $tag - 0x78
          : die sprintf "no value starts with %02x\n", $tag;

    die "truncated\n" if $n > length $$in;
    push @list, $next->() for 1 .. $n;

    return \@list;
}


# fastjson2's binary JSON: null, ints, strings, maps with string keys, lists

sub jsonb {
    my ($value) = @_;

    return "\xaf" unless defined $value;

    return join '', "\xa6",
        (map { jsonb($_), jsonb($value->{$_}) } sort keys %$value), "\xa5"
        if ref $value eq 'HASH';

    return join '', "\xa4", jsonb_int(scalar @$value),
        map { jsonb($_) } @$value if ref $value eq 'ARRAY';

    return jsonb_int($$value) if ref $value;

    my $ascii = $value !~ /[^\x00-\x7f]/;
    my $utf8 = $value;
    utf8::encode($utf8);

    return pack('C', 0x49 + length $utf8) . $utf8
        if $ascii && length $utf8 <= 47;
    return ($ascii ? "\x79" : "\x7a") . jsonb_int(length $utf8) . $utf8;
}


sub jsonb_int {
    my ($i) = @_;

    return pack 'c', $i if $i >= -16 && $i <= 47;
    return pack 'n', 0x3800 + $i if $i >= -2048 && $i <= 2047;
    return pack 'Cn', 0x44 + ($i >> 16 & 0xff) - ($i < 0 ? 256 : 0),
        $i & 0xffff if $i >= -0x40000 && $i <= 0x3ffff;
    return pack 'Cl>', 0x48, $i;
}


sub unjsonb {
    my ($in) = @_;

    my $tag = ord take($in, 1);

    return undef if $tag == 0xaf;
    return $tag - 0xb0 if $tag == 0xb0 || $tag == 0xb1;
    return $tag - 256 if $tag >= 0xf0;
    return $tag if $tag <= 0x2f;
    return ($tag - 0x38) * 256 + ord take($in, 1) if $tag <= 0x3f;
    return ($tag - 0x44) * 65536 + unpack 'n', take($in, 2) if $tag <= 0x47;
    return unpack 'l>', take($in, 4) if $tag == 0x48;
    return take($in, $tag - 0x49) if $tag >= 0x49 && $tag <= 0x78;
    return unpack 'c', take($in, 1) if $tag == 0xbd;
    return unpack 's>', take($in, 2) if $tag == 0xbc;
    return unpack 'q>', take($in, 8) if $tag == 0xbe;

    if ($tag == 0x79 || $tag == 0x7a) {
        my $text = take($in, unjsonb($in));
        utf8::decode($text) if $tag == 0x7a;
        return $text;
    }

    if ($tag == 0xa6) {
        my %map;
        while (ord substr($$in, 0, 1) != 0xa5) {
            my $key = unjsonb($in) // '';
            $map{$key} = unjsonb($in);
        }
        take($in, 1);
        return \%map;
    }

    if ($tag >= 0x94 && $tag <= 0xa4) {
        my $n = $tag == 0xa4 ? unjsonb($in) : $tag - 0x94;
        die "truncated\n" if $n > length $$in;
        return [ map { unjsonb($in) } 1 .. $n ];
    }

    die sprintf "no JSONB value starts with %02x\n", $tag;
}


1;
